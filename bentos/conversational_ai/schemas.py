"""Requests and answers of the conversational service over HTTP, and the frames of its WebSocket."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bentos.conversational_ai.messages import ChatMessage, Passage
from bentos.serving import health
from bentos.serving.messages import ModelVersion
from inference.chat.passages import DEFAULT_PASSAGES

MAX_MESSAGE_CHARS = 4000
MAX_QUERY_CHARS = 2000
"""`inference.retrieval` refuses more; it is not imported here, as the service needs no index."""


class Message(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"]
    content: str = Field(max_length=MAX_MESSAGE_CHARS, description="only the assistant's may be empty: it said nothing")

    @model_validator(mode="after")
    def _a_question_is_not_blank(self) -> Self:
        if self.role == "user" and not self.content.strip():
            raise ValueError("a message of the user must not be empty")
        return self


class ChatRequest(BaseModel):
    """A conversation that ends with the user's question; clients may echo answers as they got them."""

    model_config = ConfigDict(extra="forbid")

    messages: list[Message] = Field(min_length=1, max_length=40)
    passages: int = Field(
        default=DEFAULT_PASSAGES, ge=0, le=5, description="knowledge passages that the answer may use"
    )
    max_new_tokens: int | None = Field(default=None, ge=1, le=1024)

    @model_validator(mode="after")
    def _ends_with_a_question(self) -> Self:
        if self.messages[-1].role != "user":
            raise ValueError("the last message must be the user's question")
        return self

    def conversation(self) -> list[ChatMessage]:
        """The messages for the model; an empty answer is left out together with its question."""
        kept: list[ChatMessage] = []
        for message in self.messages:
            if message.content.strip():
                kept.append(ChatMessage(role=message.role, content=message.content))
            elif kept and kept[-1].role == "user":
                kept.pop()
        return kept


class AssistantMessage(BaseModel):
    """The assistant's message; empty when the model found nothing to say, and then ignored when a client echoes it."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatAnswer(BaseModel):
    """An answer and what it is grounded in."""

    message: AssistantMessage
    sources: list[Passage]
    finish_reason: str = Field(description="stop: the answer is complete; length or deadline: it was cut")
    model: ModelVersion


class RagRequest(BaseModel):
    """A question to the knowledge base alone."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=MAX_QUERY_CHARS)
    k: int = Field(default=5, ge=1, le=20)


class RagAnswer(BaseModel):
    """Passages, best first."""

    passages: list[Passage]
    index_version: str


class SocketRequest(BaseModel):
    """A frame from the client: the next question.

    The connection remembers the conversation, without questions that got an empty answer.
    """

    model_config = ConfigDict(extra="forbid")

    content: str = Field(min_length=1, max_length=MAX_MESSAGE_CHARS)
    passages: int = Field(default=DEFAULT_PASSAGES, ge=0, le=5)


class Health(health.Health):
    """The service can answer; from which versions, and what it answers without."""

    index_version: str
