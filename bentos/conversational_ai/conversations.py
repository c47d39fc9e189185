"""Conversations that outlive their connection, so that a dropped line can go on.

Those of people who have signed in are stored, and theirs alone. All others are remembered by this process for a while: whoever
has the id, which nobody can guess, has the conversation.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID, uuid4

from aura.errors import DatabaseUnavailableError, NotFoundError
from bentos.conversational_ai.messages import ChatMessage
from bentos.conversational_ai.schemas import Recorded
from bentos.conversational_ai.stored_conversations import StoredConversations, no_such_conversation
from bentos.serving.errors import NoDatabaseError

_CONTEXT_MESSAGES = 20
"""Messages that an answer may stand on. Even, so that what is kept begins with a question."""
_UNREAD = "what was said before in this conversation could not be read"


@dataclass(eq=False)
class Conversation:
    """Questions and answers of one client, oldest first.

    Attributes:
        owner: the person whose it is; None: of whoever has the id.
        is_stored: something of it is in the database.
        is_unread: what was said before is in the database, which was away when the conversation was to go on.
        taken_over: set when another connection goes on with the conversation; one per connection.
    """

    id: UUID = field(default_factory=uuid4)
    messages: list[ChatMessage] = field(default_factory=list)
    owner: UUID | None = None
    is_stored: bool = False
    is_unread: bool = False
    taken_over: asyncio.Event = field(default_factory=asyncio.Event)
    used_at: float = 0.0

    def followed_by(self, messages: Sequence[ChatMessage]) -> list[ChatMessage]:
        return [*self.messages, *messages]

    def add(self, messages: Sequence[ChatMessage]) -> None:
        """Remember what was said; the oldest messages are forgotten."""
        self.messages = self.followed_by(messages)[-_CONTEXT_MESSAGES:]


class Conversations:
    """Opens conversations, and records what is said in them.

    At most `limit` are remembered, each for `seconds` after it was used last; the one unused longest goes first.
    """

    def __init__(
        self, limit: int, seconds: float, stored: StoredConversations, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._seconds, self._stored, self._clock = limit, seconds, stored, clock
        self._kept: OrderedDict[UUID, Conversation] = OrderedDict()

    async def open(self, conversation_id: str | None, owner: UUID | None) -> Conversation:
        """For a connection: a new conversation, or one that goes on; the connection that had it is told by `taken_over`.

        Raises:
            NotFoundError: there is no such conversation (any longer), or it is somebody else's.
        """
        if conversation_id is None:
            return Conversation(owner=owner)
        known_id = _uuid(conversation_id)
        remembered = self._remembered(known_id, owner)
        try:
            found = await self.stored(known_id, owner) if owner else None
        except (NotFoundError, NoDatabaseError):
            if (
                remembered is None or remembered.is_stored
            ):  # where its owner has removed it, it is not remembered either
                self._kept.pop(known_id, None)
                raise no_such_conversation() from None
            found = None
        if remembered is None:
            if found is None:
                raise no_such_conversation()
            remembered = found
        elif found is not None and not found.is_unread:
            remembered.messages, remembered.is_unread = found.messages, False
        remembered.taken_over.set()
        remembered.taken_over = asyncio.Event()
        self.keep(remembered)
        return remembered

    async def stored(self, conversation_id: UUID | None, owner: UUID | None) -> Conversation:
        """For one request: a new conversation, or one as the database has it; without its messages where the database is away.

        Raises:
            NotFoundError: this person has no such conversation.
            NoDatabaseError: this service has no database.
        """
        if conversation_id is None or owner is None:
            return Conversation(owner=owner)
        conversation = Conversation(id=conversation_id, owner=owner, is_stored=True)
        try:
            conversation.messages = await self._stored.latest(owner, conversation_id, _CONTEXT_MESSAGES)
        except DatabaseUnavailableError:
            conversation.is_unread = True
        return conversation

    async def record(self, conversation: Conversation, said: Sequence[ChatMessage], answer: str) -> Recorded:
        """Remember what was said and its answer, and store both where they are a person's; without a word, neither is."""
        messages = [*said, ChatMessage(role="assistant", content=answer)]
        notes = [_UNREAD] if conversation.is_unread else []
        why_not = "nothing was said"
        if answer:
            conversation.add(messages)
            why_not = await self._store(conversation, messages) if conversation.owner else ""
        if conversation.owner and why_not:
            notes.append(f"this was not stored: {why_not}")
        return Recorded(
            conversation=conversation.id if conversation.is_stored else None,
            stored=bool(conversation.owner) and not why_not, notes=notes,
        )  # fmt: skip

    def keep(self, conversation: Conversation) -> None:
        """Remember a conversation that was used right now."""
        conversation.used_at = self._clock()
        self._kept[conversation.id] = conversation
        self._kept.move_to_end(conversation.id)
        self._forget_old()

    def leave(self, conversation: Conversation) -> None:
        """Forget a conversation whose connection has ended, where the database has it."""
        if conversation.is_stored:
            self._kept.pop(conversation.id, None)

    async def _store(self, conversation: Conversation, messages: Sequence[ChatMessage]) -> str:
        """Returns why it was not stored, or nothing."""
        assert conversation.owner is not None
        why_not = await self._stored.add(
            conversation.owner, conversation.id, messages, is_new=not conversation.is_stored
        )
        conversation.is_stored = conversation.is_stored or not why_not
        return why_not

    def _remembered(self, conversation_id: UUID, owner: UUID | None) -> Conversation | None:
        self._forget_old()
        found = self._kept.get(conversation_id)
        return found if found and found.owner == owner else None

    def _forget_old(self) -> None:
        oldest = self._clock() - self._seconds
        while self._kept and (len(self._kept) > self._limit or next(iter(self._kept.values())).used_at < oldest):
            self._kept.popitem(last=False)


def _uuid(text: str) -> UUID:
    """Raises NotFoundError: a text that is no id names no conversation."""
    try:
        return UUID(text)
    except ValueError:
        raise no_such_conversation() from None
