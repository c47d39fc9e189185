"""Endpoints of feedback: thumbs on answers, corrected boxes, saved and rejected outfits."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from aura.errors import NotFoundError
from bentos.accounts.active_user import ActiveUser
from bentos.accounts.belongings_schemas import FeedbackBody, FeedbackPage, FeedbackPageQuery, FeedbackView
from bentos.accounts.conversations import ConversationStore, Store
from bentos.serving.errors import NOT_FOUND, TOO_MANY, TooManyAttemptsError
from bentos.serving.media_types import TypedRoute
from stores.database import Connection
from stores.feedback import FeedbackOf

router = APIRouter(prefix="/feedback", route_class=TypedRoute, tags=["feedback"])
_MAX_ID = 2**63 - 1
_HOUR_SECONDS = 3600


@router.post("", status_code=201, responses=TOO_MANY)
async def add_feedback(body: FeedbackBody, user: ActiveUser, store: Store) -> dict[str, int]:
    """Say what an answer was worth. It is kept in any case, and learnt from when the account allows it (`PUT /consent`)."""
    said = body.model_dump(mode="json")
    per_day = store.settings.feedback_per_day

    async def keep(connection: Connection) -> int | None:
        return await _of(store, connection, user.id).add(body.kind, said, per_day)

    kept = await store.database.run(keep)
    if kept is None:
        raise TooManyAttemptsError(f"{per_day} are kept per day", retry_seconds=_HOUR_SECONDS)
    return {"id": kept}


@router.get("")
async def list_feedback(
    user: ActiveUser,
    store: Store,
    page: Annotated[FeedbackPageQuery, Query()],
) -> FeedbackPage:
    """What you have said, newest first."""
    found = await store.database.run(lambda connection: _of(store, connection, user.id).page(page.before, page.limit))
    return FeedbackPage(
        feedback=[FeedbackView.of(feedback) for feedback in found],
        before=found[-1].id if len(found) == page.limit else None,
    )


@router.delete("/{feedback_id:int}", status_code=204, response_class=Response, responses=NOT_FOUND)
async def remove_feedback(feedback_id: int, user: ActiveUser, store: Store) -> None:
    """Take back what you have said; what a night has taken of it, the next one drops."""
    known = 0 < feedback_id <= _MAX_ID
    if not known or not await store.database.run(
        lambda connection: _of(store, connection, user.id).remove(feedback_id)
    ):
        raise NotFoundError("you have said nothing of this number", hint="GET /feedback lists it")


def _of(store: ConversationStore, connection: Connection, user_id: UUID) -> FeedbackOf:
    return FeedbackOf(connection, user_id, store.cipher)
