"""Conversations over WebSockets that outlive their connection for a while, so that a dropped line can go on.

Nothing here belongs to an account: whoever has the id, which nobody can guess, has the conversation.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from aura.errors import InvalidRequestError
from bentos.conversational_ai.messages import ChatMessage

_REMEMBERED_MESSAGES = 20
"""Even, so that what is kept begins with a question."""


@dataclass(eq=False)
class Conversation:
    """Questions and answers of one client, oldest first.

    Attributes:
        taken_over: set when another connection goes on with the conversation; one per connection.
    """

    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    messages: list[ChatMessage] = field(default_factory=list)
    taken_over: asyncio.Event = field(default_factory=asyncio.Event)
    used_at: float = 0.0

    def with_question(self, question: str) -> list[ChatMessage]:
        return [*self.messages, ChatMessage(role="user", content=question)]

    def add(self, question: str, answer: str) -> None:
        """Remember a question with its answer; the oldest ones are forgotten."""
        messages = [*self.with_question(question), ChatMessage(role="assistant", content=answer)]
        self.messages = messages[-_REMEMBERED_MESSAGES:]


class Conversations:
    """Remembers at most `limit` conversations, each for `seconds` after it was used last; the one unused longest goes first."""

    def __init__(self, limit: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit, self._seconds, self._clock = limit, seconds, clock
        self._kept: OrderedDict[str, Conversation] = OrderedDict()

    def open(self, conversation_id: str | None) -> Conversation:
        """A new conversation, or a remembered one; the connection that had it is told by `taken_over`.

        Raises:
            InvalidRequestError: the conversation is not remembered (any longer).
        """
        if conversation_id is None:
            return Conversation()
        self._forget_old()
        conversation = self._kept.get(conversation_id)
        if conversation is None:
            raise InvalidRequestError(
                "there is no such conversation, or it was not used for too long",
                hint="connect without an id to begin anew",
            )
        conversation.taken_over.set()
        conversation.taken_over = asyncio.Event()
        self.keep(conversation)
        return conversation

    def keep(self, conversation: Conversation) -> None:
        """Remember a conversation that was used right now."""
        conversation.used_at = self._clock()
        self._kept[conversation.id] = conversation
        self._kept.move_to_end(conversation.id)
        self._forget_old()

    def _forget_old(self) -> None:
        oldest = self._clock() - self._seconds
        while self._kept and (len(self._kept) > self._limit or next(iter(self._kept.values())).used_at < oldest):
            self._kept.popitem(last=False)
