"""How many answers and conversations are admitted, and which conversations are remembered."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from aura.errors import BusyError, NotFoundError
from bentos.accounts.settings import AccountsSettings
from bentos.conversational_ai.conversations import Conversation, Conversations
from bentos.conversational_ai.limits import ConcurrencyLimit
from bentos.conversational_ai.messages import ChatMessage
from bentos.conversational_ai.stored_conversations import StoredConversations
from bentos.serving.optional_database import OptionalDatabase


def test_slots_are_limited_and_come_back_however_an_answer_ends() -> None:
    limit = ConcurrencyLimit(2, "answers wait")
    with ExitStack() as stack:
        stack.enter_context(limit.slot())
        with pytest.raises(RuntimeError), limit.slot():
            raise RuntimeError("the answer failed")
        stack.enter_context(limit.slot())
        with pytest.raises(BusyError, match="2 answers") as caught, limit.slot():
            pass
        assert caught.value.hint
    with limit.slot(), limit.slot():
        pass


def test_conversations_are_kept_for_a_while_and_the_one_unused_longest_goes_first() -> None:
    now = 0.0
    stored = StoredConversations(OptionalDatabase(None, ""), AccountsSettings())
    conversations = Conversations(limit=2, seconds=10, stored=stored, clock=lambda: now)

    def opened(conversation: Conversation | None = None) -> Conversation:
        return asyncio.run(conversations.open(str(conversation.id) if conversation else None, None))

    first, second, third = (opened() for _ in range(3))
    conversations.keep(first)
    conversations.keep(second)
    assert opened(first) is first
    conversations.keep(third)
    with pytest.raises(NotFoundError):
        opened(second)
    now = 9.0
    assert opened(first) is first
    now = 12.0
    with pytest.raises(NotFoundError):
        opened(third)
    assert opened(first) is first


def test_a_conversation_forgets_its_oldest_questions_with_their_answers() -> None:
    conversation = Conversation()
    for number in range(30):
        conversation.add(
            [
                ChatMessage(role="user", content=f"Question {number}?"),
                ChatMessage(role="assistant", content=f"Answer {number}."),
            ]
        )
    assert len(conversation.messages) == 20
    assert [message.role for message in conversation.messages[:2]] == ["user", "assistant"]
    assert conversation.messages[-1].content == "Answer 29."
    assert len({Conversation().id for _ in range(100)}) == 100
