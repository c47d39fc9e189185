"""Everything that is stored of a person, as one JSON document that is written while it is read: it may be long."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from pydantic import BaseModel

from bentos.accounts.belongings_schemas import ConversationView, FeedbackView, MessageView, WardrobeGarment
from bentos.accounts.conversations import ConversationStore
from bentos.accounts.schemas import SessionRecord
from stores.conversations import Conversation, StoredMessage
from stores.database import Connection
from stores.feedback import Feedback, FeedbackOf
from stores.sessions import Sessions
from stores.users import User
from stores.wardrobe import OwnedGarment, Wardrobe

_PAGE = 200

T = TypeVar("T")


class AccountRecord(BaseModel):
    """What is stored of the account, but for the hash of its password."""

    id: UUID
    email: str
    role: str
    created_at: datetime
    password_changed_at: datetime
    may_learn: bool
    consents_changed_at: datetime | None


class ExportedGarment(WardrobeGarment):
    """A garment, and where its picture is to be had."""

    picture: str | None


class ExportedConversation(ConversationView):
    """A conversation with its messages."""

    messages: list[MessageView]


class Export(BaseModel):
    """Everything that is stored of a person."""

    account: AccountRecord
    sessions: list[SessionRecord]
    garments: list[ExportedGarment]
    conversations: list[ExportedConversation]
    feedback: list[FeedbackView]


async def exported(user: User, store: ConversationStore) -> AsyncIterator[str]:
    """The text of an `Export`, piece by piece."""
    yield f'{{"account": {AccountRecord.model_validate(user, from_attributes=True).model_dump_json()}'
    for name, records in (
        ("sessions", _sessions(user, store)),
        ("garments", _garments(user, store)),
        ("conversations", _conversations(user, store)),
        ("feedback", _feedback(user, store)),
    ):
        yield f', "{name}": ['
        first = True
        async for record in records:
            yield ("" if first else ", ") + record.model_dump_json()
            first = False
        yield "]"
    yield "}"


async def _sessions(user: User, store: ConversationStore) -> AsyncIterator[BaseModel]:
    for session in await store.database.run(lambda connection: Sessions(connection).of(user.id)):
        yield SessionRecord.of(session)


async def _garments(user: User, store: ConversationStore) -> AsyncIterator[BaseModel]:
    def page(connection: Connection, last: OwnedGarment | None) -> Awaitable[Sequence[OwnedGarment]]:
        return Wardrobe(connection, user.id).page(last.id if last else None, _PAGE)

    async for garment in _all(store, page):
        shown = WardrobeGarment.of(garment)
        picture = f"wardrobe/{garment.id}/picture" if shown.has_picture else None
        yield ExportedGarment(**shown.model_dump(), picture=picture)


async def _conversations(user: User, store: ConversationStore) -> AsyncIterator[BaseModel]:
    def page(connection: Connection, last: Conversation | None) -> Awaitable[Sequence[Conversation]]:
        return store.of(connection, user.id).page(last.id if last else None, _PAGE)

    async for conversation in _all(store, page):
        messages = [message async for message in _messages(user, store, conversation.id)]
        yield ExportedConversation(**ConversationView.of(conversation).model_dump(), messages=messages)


async def _messages(user: User, store: ConversationStore, conversation_id: UUID) -> AsyncIterator[MessageView]:
    async def page(connection: Connection, last: StoredMessage | None) -> Sequence[StoredMessage]:
        first = last.position + 1 if last else 0
        return await store.of(connection, user.id).messages(conversation_id, first, _PAGE) or ()

    async for message in _all(store, page):
        yield MessageView.of(message)


async def _feedback(user: User, store: ConversationStore) -> AsyncIterator[BaseModel]:
    def page(connection: Connection, last: Feedback | None) -> Awaitable[Sequence[Feedback]]:
        return FeedbackOf(connection, user.id, store.cipher).page(last.id if last else None, _PAGE)

    async for feedback in _all(store, page):
        yield FeedbackView.of(feedback)


async def _all(
    store: ConversationStore, page: Callable[[Connection, T | None], Awaitable[Sequence[T]]]
) -> AsyncIterator[T]:
    """What lies on all pages; `page` gives the one behind an entry."""
    last: T | None = None
    while True:
        found = await store.database.run(lambda connection, last=last: page(connection, last))  # type: ignore[misc]
        for entry in found:
            yield entry
        if len(found) < _PAGE:
            return
        last = found[-1]
