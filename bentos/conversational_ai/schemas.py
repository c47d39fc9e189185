"""Requests, answers and WebSocket frames of the conversational service."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MAX_MESSAGE_CHARS = 4000


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"]
    content: str = Field(min_length=1, max_length=MAX_MESSAGE_CHARS)


class ChatRequest(BaseModel):
    """A conversation whose last turn is the user's question."""

    model_config = ConfigDict(extra="forbid")

    messages: list[Message] = Field(min_length=1, max_length=40)
    passages: int = Field(default=2, ge=0, le=5, description="knowledge passages that the answer may use")
    max_new_tokens: int | None = Field(default=None, ge=1, le=1024)

    @model_validator(mode="after")
    def _ends_with_a_question(self) -> Self:
        if self.messages[-1].role != "user" or not self.messages[-1].content.strip():
            raise ValueError("the last message must be the user's question")
        return self


class Source(BaseModel):
    """A passage of the knowledge base."""

    slug: str
    title: str
    heading: str
    text: str
    score: float = Field(description="fused rank score; comparable within one answer only")


class AssistantMessage(BaseModel):
    """The assistant's turn; empty when the model found nothing to say."""

    role: Literal["assistant"] = "assistant"
    content: str


class ChatAnswer(BaseModel):
    """An answer and what it is grounded in."""

    message: AssistantMessage
    sources: list[Source]
    finish_reason: str = Field(description="stop: the answer is complete; length or deadline: it was cut")
    model: dict[str, str]


class RagRequest(BaseModel):
    """A question to the knowledge base alone."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=MAX_MESSAGE_CHARS)
    k: int = Field(default=5, ge=1, le=20)


class RagAnswer(BaseModel):
    """Passages, best first."""

    passages: list[Source]
    index_version: str


class SocketRequest(BaseModel):
    """A frame from the client: the next question; the connection remembers the conversation."""

    model_config = ConfigDict(extra="forbid")

    content: str = Field(min_length=1, max_length=MAX_MESSAGE_CHARS)
    passages: int = Field(default=2, ge=0, le=5)


class Health(BaseModel):
    """The service can answer; which versions it answers from."""

    status: str = "ok"
    profile: str
    model: dict[str, str]
    index_version: str
