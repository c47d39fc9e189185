"""Requests, answers and WebSocket frames of the conversational service."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from inference.chat.passages import PASSAGES

MAX_MESSAGE_CHARS = 4000
MAX_QUERY_CHARS = 2000
"""`inference.retrieval` refuses more; it is not imported here, as the API part needs no index."""


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"]
    content: str = Field(max_length=MAX_MESSAGE_CHARS, description="only the assistant's may be empty: it said nothing")

    @model_validator(mode="after")
    def _a_question_has_words(self) -> Self:
        if self.role == "user" and not self.content.strip():
            raise ValueError("a message of the user must not be empty")
        return self


class ChatRequest(BaseModel):
    """A conversation whose last turn is the user's question; clients may echo answers as they got them."""

    model_config = ConfigDict(extra="forbid")

    messages: list[Message] = Field(min_length=1, max_length=40)
    passages: int = Field(default=PASSAGES, ge=0, le=5, description="knowledge passages that the answer may use")
    max_new_tokens: int | None = Field(default=None, ge=1, le=1024)

    @model_validator(mode="after")
    def _ends_with_a_question(self) -> Self:
        if self.messages[-1].role != "user":
            raise ValueError("the last message must be the user's question")
        return self

    def conversation(self) -> list[dict[str, str]]:
        """The messages for the model. Where the assistant said nothing, that turn is left out with its question."""
        kept: list[dict[str, str]] = []
        for message in self.messages:
            if message.content.strip():
                kept.append(message.model_dump())
            elif kept and kept[-1]["role"] == "user":
                kept.pop()
        return kept


class Source(BaseModel):
    """A passage of the knowledge base."""

    slug: str
    title: str
    heading: str
    text: str
    score: float = Field(description="fused rank score; comparable within one answer only")


class AssistantMessage(BaseModel):
    """The assistant's turn; empty when the model found nothing to say. Echoed in the next request it is left out."""

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

    query: str = Field(min_length=1, max_length=MAX_QUERY_CHARS)
    k: int = Field(default=5, ge=1, le=20)


class RagAnswer(BaseModel):
    """Passages, best first."""

    passages: list[Source]
    index_version: str


class SocketRequest(BaseModel):
    """A frame from the client: the next question.

    The connection remembers the conversation; of a question that got an empty answer it remembers nothing.
    """

    model_config = ConfigDict(extra="forbid")

    content: str = Field(min_length=1, max_length=MAX_MESSAGE_CHARS)
    passages: int = Field(default=PASSAGES, ge=0, le=5)


class Health(BaseModel):
    """The service can answer; which versions it answers from."""

    status: str = "ok"
    profile: str
    model: dict[str, str]
    index_version: str
