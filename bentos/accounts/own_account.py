"""Endpoints of one's own account: who one is, what one allows, the way out, and all of one's data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse

from aura.errors import ForbiddenError
from bentos.accounts.accounts import Accounts
from bentos.accounts.active_user import ActiveUser
from bentos.accounts.conversations import Store
from bentos.accounts.export import Export, exported
from bentos.accounts.schemas import (
    Account,
    AccountPage,
    AccountPageQuery,
    Consent,
    Deleted,
    Deletion,
    PasswordChange,
    Remaining,
    SignOut,
)
from bentos.accounts.wardrobe import Own
from bentos.serving.auth import SignedIn
from bentos.serving.errors import TOO_MANY
from bentos.serving.media_types import TypedRoute
from stores.database import Connection
from stores.feedback import FeedbackOf
from stores.users import User, Users

router = APIRouter(route_class=TypedRoute, tags=["account"])
_REMOVED = ["account", "sessions", "wardrobe", "pictures", "conversations", "feedback"]


def _accounts(request: Request) -> Accounts:
    accounts: Accounts = request.app.state.accounts
    return accounts


Service = Annotated[Accounts, Depends(_accounts)]


@router.get("/me")
async def me(user: ActiveUser) -> Account:
    """Who has signed in."""
    return account_of(user)


@router.put("/consent")
async def consent(body: Consent, user: ActiveUser, store: Store) -> Account:
    """Say whether your feedback may be learnt from, by nights and for your own recommendations; at first it may not.

    Nights train on outfits that you have saved, with the pictures and titles of your garments in them.

    What nights have taken, the next one drops when it may no longer.
    """

    async def change(connection: Connection) -> User | None:
        if not body.may_learn:
            await FeedbackOf(connection, user.id, store.cipher).withdraw()
        return await Users(connection).set_consent(user.id, body.may_learn)

    changed = await store.database.run(change)
    return account_of(changed or user)


@router.post("/sign-out", status_code=204, response_class=Response)
async def sign_out(body: SignOut, caller: SignedIn, accounts: Service) -> None:
    """End this session, or all of them. Other services take its access tokens until they expire."""
    await accounts.sign_out(caller, everywhere=body.everywhere)


@router.post("/password", status_code=204, response_class=Response, responses=TOO_MANY)
async def password(body: PasswordChange, caller: SignedIn, accounts: Service) -> None:
    """Change the password; all other sessions end."""
    await accounts.change_password(
        caller, body.current_password.get_secret_value(), body.new_password.get_secret_value()
    )


@router.post("/deletion", responses=TOO_MANY)
async def delete(body: Deletion, caller: SignedIn, accounts: Service, own: Own) -> Deleted:
    """Delete the account with everything that is its owner's, at once; the answer says what cannot be."""
    user = await accounts.prove(caller, body.password.get_secret_value())
    await accounts.delete(user)
    await own.remove_all(user.id)
    settings, now = own.serving.accounts, datetime.now(UTC)
    copies = now + timedelta(days=settings.copies_days)
    tokens = now + timedelta(minutes=settings.access_minutes)
    return Deleted(
        removed=_REMOVED,
        remains=[
            Remaining(what="backups; and feedback that nights have taken, until the next night", until=copies),
            Remaining(what="your access tokens, which services that check them alone take", until=tokens),
        ],
    )


@router.get("/export", response_class=StreamingResponse, responses={200: {"model": Export}})
async def export(user: ActiveUser, store: Store) -> StreamingResponse:
    """Everything that is stored of you, but for the hash of the password; pictures by their addresses."""
    return StreamingResponse(
        exported(user, store), media_type="application/json",
        headers={"content-disposition": 'attachment; filename="aura-export.json"'},
    )  # fmt: skip


@router.get("/users")
async def users(
    user: ActiveUser,
    store: Store,
    which: Annotated[AccountPageQuery, Query()],
) -> AccountPage:
    """Who has an account; for the role `admin`."""
    if user.role != "admin":
        raise ForbiddenError("this is for the role admin", hint="an operator gives it: aura accounts role EMAIL admin")

    async def page(connection: Connection) -> list[User]:
        return [*await Users(connection).page(which.after, which.limit)]

    found = await store.database.run(page)
    return AccountPage(
        accounts=[account_of(other) for other in found], after=found[-1].email if len(found) == which.limit else None
    )


def account_of(user: User) -> Account:
    """What is told of a user."""
    return Account(id=user.id, email=user.email, role=user.role, created_at=user.created_at, may_learn=user.may_learn)
