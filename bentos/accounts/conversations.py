"""Endpoints of conversations: what somebody and the assistant have said to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from aura.errors import InvalidRequestError, NotFoundError
from bentos.accounts.active_user import ActiveUser
from bentos.accounts.belongings_schemas import (
    ConversationMessages,
    ConversationPage,
    ConversationView,
    MessagesBody,
    MessagesQuery,
    MessageView,
    Page,
)
from bentos.accounts.settings import AccountsSettings
from bentos.serving.errors import NOT_FOUND
from bentos.serving.media_types import TypedRoute
from stores.conversations import Conversations
from stores.database import Connection, Database
from stores.encryption import TextCipher

router = APIRouter(prefix="/conversations", route_class=TypedRoute, tags=["conversations"])


@dataclass(frozen=True)
class ConversationStore:
    """What the endpoints work with."""

    database: Database
    cipher: TextCipher
    settings: AccountsSettings

    def of(self, connection: Connection, user_id: UUID) -> Conversations:
        """The conversations of one person."""
        return Conversations(connection, user_id, self.cipher)


def _store(request: Request) -> ConversationStore:
    store: ConversationStore = request.app.state.conversations
    return store


Store = Annotated[ConversationStore, Depends(_store)]


@router.post("", status_code=201)
async def begin_conversation(user: ActiveUser, store: Store) -> ConversationView:
    """A new conversation."""
    at_most = store.settings.max_conversations
    begun = await store.database.run(lambda connection: store.of(connection, user.id).begin(at_most))
    if begun is None:
        raise InvalidRequestError(f"you have {at_most} conversations, which is the most", hint="remove some first")
    return ConversationView.of(begun)


@router.get("")
async def list_conversations(user: ActiveUser, store: Store, page: Annotated[Page, Query()]) -> ConversationPage:
    """Conversations, newest first."""
    found = await store.database.run(lambda connection: store.of(connection, user.id).page(page.after, page.limit))
    return ConversationPage(
        conversations=[ConversationView.of(conversation) for conversation in found],
        after=found[-1].id if len(found) == page.limit else None,
    )


@router.post("/{conversation_id:uuid}/messages", status_code=201, responses=NOT_FOUND)
async def add_messages(
    conversation_id: UUID, body: MessagesBody, user: ActiveUser, store: Store
) -> ConversationMessages:
    """Keep what was said; texts are encrypted. The answer is what was kept."""
    said = [(message.role, message.content) for message in body.messages]
    at_most = store.settings.max_messages
    first = await store.database.run(
        lambda connection: store.of(connection, user.id).add(conversation_id, said, at_most)
    )
    if first is None:
        raise _no_conversation()
    if first < 0:
        raise InvalidRequestError(f"a conversation has {at_most} messages at most", hint="begin a new one")
    return await _messages(store, user.id, conversation_id, first, len(said))


@router.get("/{conversation_id:uuid}/messages", responses=NOT_FOUND)
async def list_messages(
    conversation_id: UUID,
    user: ActiveUser,
    store: Store,
    which: Annotated[MessagesQuery, Query()],
) -> ConversationMessages:
    """Messages in their order, from a position on."""
    return await _messages(store, user.id, conversation_id, which.first, which.limit)


@router.delete("/{conversation_id:uuid}", status_code=204, response_class=Response, responses=NOT_FOUND)
async def remove_conversation(conversation_id: UUID, user: ActiveUser, store: Store) -> None:
    """Remove a conversation with its messages."""
    if not await store.database.run(lambda connection: store.of(connection, user.id).remove(conversation_id)):
        raise _no_conversation()


async def _messages(
    store: ConversationStore, user_id: UUID, conversation_id: UUID, first: int, limit: int
) -> ConversationMessages:
    found = await store.database.run(
        lambda connection: store.of(connection, user_id).messages(conversation_id, first, limit)
    )
    if found is None:
        raise _no_conversation()
    return ConversationMessages(
        messages=[MessageView.of(message) for message in found],
        next=found[-1].position + 1 if len(found) == limit else None,
    )


def _no_conversation() -> NotFoundError:
    return NotFoundError("you have no such conversation", hint="GET /conversations lists them")
