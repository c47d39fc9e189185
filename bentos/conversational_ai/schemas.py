"""Requests and answers of the conversational service over HTTP, and the frames of its WebSocket."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BaseModel, Discriminator, Field, Tag, model_validator

from aura.taxonomy import Category
from bentos.conversational_ai.messages import ChatMessage, Passage, Sentence, ToolUse, Usage
from bentos.serving import health
from bentos.serving.messages import ModelVersion, ReleasedBody, ReleaseVersions
from bentos.serving.request_body import PictureBase64, RequestBody, Text
from inference.chat.passages import DEFAULT_PASSAGES

MAX_QUESTION_CHARS = 4000
MAX_ANSWER_TOKENS = 1024
MAX_ANSWER_CHARS = 20 * MAX_ANSWER_TOKENS
"""An answer may be sent back as it came, and tokens have about 4 characters."""
MAX_QUERY_CHARS = 2000
"""`inference.retrieval` refuses more; it is not imported here, as the service needs no index."""


_QUESTION = (
    f"at most {MAX_QUESTION_CHARS} characters, and at most as many tokens as `question_tokens` of `health` says "
    "(a token has about four characters of English)"
)


MAX_GARMENTS = 20
"""Garments of a photo in one request."""


class Message(RequestBody):
    """One message of a conversation."""

    role: Literal["user", "assistant"]
    content: Text = Field(
        max_length=MAX_ANSWER_CHARS,
        description=f"a user's: {_QUESTION}. Only the assistant's may be empty: it said nothing",
    )

    @model_validator(mode="after")
    def _a_question_has_some_words(self) -> Self:
        if self.role == "user" and not self.content:
            raise ValueError("a message of the user must not be empty")
        if self.role == "user" and len(self.content) > MAX_QUESTION_CHARS:
            raise ValueError(
                f"a message of the user has {len(self.content)} characters; at most {MAX_QUESTION_CHARS} are allowed"
            )
        return self


class PhotoColour(BaseModel):
    """A colour as `visual-analysis/analyze` names it."""

    name: Text = Field(min_length=1, max_length=40)


class PhotoGarment(BaseModel):
    """A garment of a photo as `visual-analysis/analyze` answers it; what else the answer says of it is not needed here."""

    category: Category
    colours: list[PhotoColour] = Field(default_factory=list, max_length=10, description="largest first")

    @property
    def title(self) -> str:
        """For example `Navy top`, and without a colour `Top`."""
        colour = self.colours[0].name if self.colours else ""
        return f"{colour} {self.category.garment}".strip().capitalize()


class Belongings(RequestBody):
    """Garments that a question may be about: `what goes with my navy blazer?`, `what can I wear with this?`."""

    wardrobe: bool = Field(default=False, description="look into your wardrobe; needs your token")
    garments: list[PhotoGarment] = Field(
        default_factory=list,
        max_length=MAX_GARMENTS,
        description="garments of a photo, as `visual-analysis/analyze` answers them",
    )
    photo_base64: PictureBase64 | None = Field(
        default=None,
        description="a photo that the question is about, as the base64 of its file: the detector finds its garments. A frame of "
        "the WebSocket has room for a small one; of a larger one send `garments`",
    )


class ChatRequest(Belongings):
    """A conversation that ends with the user's question; clients may echo answers as they got them."""

    messages: list[Message] = Field(min_length=1, max_length=40)
    conversation: UUID | None = Field(
        default=None,
        description="a stored conversation of yours that goes on with this question, which is sent alone then; needs your token",
    )
    passages: int = Field(
        default=DEFAULT_PASSAGES, ge=0, le=5, description="knowledge passages that the answer may use"
    )
    max_new_tokens: int | None = Field(default=None, ge=1, le=MAX_ANSWER_TOKENS)
    stream: bool = Field(
        default=False,
        description="answer with server-sent events, whose data are the frames of the WebSocket: `sources`, `token`..., `done` "
        "or `error`",
    )

    @model_validator(mode="after")
    def _ends_with_a_question(self) -> Self:
        if self.messages[-1].role != "user":
            raise ValueError("the last message must be the user's question")
        if self.conversation and len(self.messages) > 1:
            raise ValueError("with a conversation send the question alone: what was said before is stored")
        return self

    def said(self) -> list[ChatMessage]:
        """The messages for the model; an empty answer is left out together with its question."""
        kept: list[ChatMessage] = []
        for message in self.messages:
            if message.content:
                kept.append(ChatMessage(role=message.role, content=message.content))
            elif kept and kept[-1].role == "user":
                kept.pop()
        return kept


class AssistantMessage(BaseModel):
    """The assistant's message; empty when it was cut before its first sentence, and then ignored when a client echoes it."""

    role: Literal["assistant"] = "assistant"
    content: str


class Recorded(BaseModel):
    """What became of a question and its answer: those of people who have signed in are stored."""

    conversation: UUID | None = Field(
        default=None, description="where it is stored, and goes on; also an id of `accounts/conversations`"
    )
    stored: bool = Field(default=False, description="the question and this answer are in the database")
    notes: list[str] = Field(default_factory=list, description="what could not be used, read or stored, in sentences")


class ChatAnswer(Recorded):
    """An answer and what it is grounded in."""

    message: AssistantMessage
    sentences: list[Sentence] = Field(
        description="the message sentence by sentence, each with the source that it cites"
    )
    declined: bool = Field(description="nothing that was found answers the question")
    tools: list[ToolUse] = Field(
        description="what was asked before the model; sentences of the status `tool` say it in words"
    )
    sources: list[Passage] = Field(description="passages that the model had before it, whole or in part; best first")
    dropped_messages: int = Field(
        description="earlier messages that the model did not have: its prompt had no room for them"
    )
    finish_reason: str = Field(description="stop: the answer is complete; length or deadline: it was cut")
    model: ModelVersion
    usage: Usage | None = Field(description="null where another model wrote the words")
    writer: str | None = Field(description="model of another server that wrote the words; null: the champion itself")
    release: ReleaseVersions


class RagRequest(RequestBody):
    """A question to the knowledge base alone."""

    query: Text = Field(max_length=MAX_QUERY_CHARS, json_schema_extra={"pattern": r"\S"})
    k: int = Field(default=5, ge=1, le=20)


class RagAnswer(ReleasedBody):
    """Passages, best first."""

    passages: list[Passage]
    index_version: str


class SocketRequest(Belongings):
    """A frame from the client: the next question.

    The connection remembers the conversation, without questions that got an empty answer.
    """

    type: Literal["question"] = "question"
    content: Text = Field(min_length=1, max_length=MAX_QUESTION_CHARS, description=_QUESTION)
    passages: int = Field(default=DEFAULT_PASSAGES, ge=0, le=5)


class CancelRequest(RequestBody):
    """A frame from the client: the answer that is being made is not wanted any longer. `cancelled` comes back."""

    type: Literal["cancel"]


def _frame_type(frame: Any) -> str:
    return "cancel" if isinstance(frame, dict) and frame.get("type") == "cancel" else "question"


SocketFrame = Annotated[
    Annotated[SocketRequest, Tag("question")] | Annotated[CancelRequest, Tag("cancel")], Discriminator(_frame_type)
]
"""A frame from the client; a question need not name its type."""


class Health(health.Health):
    """The service can answer; from which versions, and what it answers without."""

    index_version: str
    question_tokens: int = Field(description="most tokens of a question; a longer one is refused")
