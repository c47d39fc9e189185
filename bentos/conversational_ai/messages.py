"""What passes between the conversational service and its runner.

An answer is a stream of bytes to BentoML: one event per line, as JSON.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

from pydantic import Field, JsonValue, TypeAdapter

from aura.taxonomy import Category
from bentos.serving.errors import Failure
from bentos.serving.messages import Message, RunnerAnswer, RunnerRequest, Status
from inference.chat.answer import SentenceStatus

MAX_SEARCHES = 16
"""Queries that the runner gets in one message, at most."""


class ChatMessage(Message):
    """One message of a conversation."""

    role: Literal["user", "assistant"]
    content: str


class Passage(Message):
    """A passage of the knowledge base."""

    slug: str
    title: str
    heading: str
    text: str
    score: float = Field(description="what passages are ordered by; comparable within one answer only")
    similarity: float = Field(description="cosine of the question's and the passage's embeddings, -1 to 1")


class RetrieveRequest(RunnerRequest):
    """A query to the knowledge base."""

    query: str
    k: int
    """Passages at most."""


class FoundPassages(RunnerAnswer):
    """Passages for a query, best first."""

    passages: list[Passage]
    index_version: str


class GenerateRequest(RunnerRequest):
    """A conversation that ends with the user's question, and the passages that the answer may use, best first."""

    answer_id: str
    """Id of the answer, for a `StopRequest`."""
    release: str = ""
    """Id of the release that the passages were found in: the answer is made from the same one, if it is still there."""
    messages: list[ChatMessage]
    passages: list[Passage]
    max_new_tokens: int
    timeout_seconds: float
    """Seconds from the runner's side until the answer is cut."""


class ToolGarment(Message):
    """A garment that a tool was asked about, or that it answered."""

    source: Literal["wardrobe", "photo", "catalog"]
    wardrobe_id: str | None = None
    item_id: str | None = Field(default=None, description="of the catalog")
    category: Category
    title: str


class ToolUse(Message):
    """A tool that was asked for an answer, by rule."""

    name: Literal["analyze", "outfits"] = Field(
        description="analyze: `visual-analysis/analyze`, about the photo. outfits: `outfit-recommendation/outfits`"
    )
    arguments: dict[str, JsonValue] = Field(description="what it was asked, without pictures")
    garments: list[ToolGarment] = Field(default_factory=list, description="what `analyze` found, the surest first")
    asked_about: list[ToolGarment] = Field(default_factory=list, description="garments that `outfits` was asked about")
    outfits: list[list[ToolGarment]] = Field(
        default_factory=list, description="what `outfits` answered: whole outfits with these garments, best first"
    )


class Started(Message):
    """The first event of an answer: its prompt is built, which has limits of its own."""

    tools: list[ToolUse] = Field(default_factory=list)
    """What was asked before the model was; the runner knows none."""
    notes: list[str] = Field(default_factory=list)
    """What of the request could not be used, in sentences."""

    sources: list[Passage]
    """Passages of the request of which the model had at least a part."""
    dropped_messages: int
    """Earlier messages that the prompt had no room for."""


class Sentence(Message):
    """The next sentence of an answer."""

    text: str = Field(pattern=r"\S")
    source: int | None = Field(description="which of the sources it cites, from 0; null where it declines")
    status: SentenceStatus | Literal["tool"] = Field(
        description="tool: what a tool answered, in words. quoted: a sentence of the source. supported: the source says so. "
        "replaced: the source's words instead of "
        "generated ones that no source says. declined: no source answers"
    )


class Usage(Message):
    """Tokens of an answer, as the champion's tokenizer counts them."""

    prompt_tokens: int = Field(
        description="what the answer follows; of a quoted answer the question and the passages together"
    )
    completion_tokens: int = Field(
        description="the answer's text, also where sentences were quoted and none was generated"
    )


class Finished(RunnerAnswer):
    """The end of an answer."""

    finish_reason: str
    """`stop`: the answer is complete; `length`, `deadline` or `stopped`: it was cut."""
    declined: bool
    """Nothing that was found answers the question."""
    usage: Usage | None = None
    """null where another model wrote the words."""
    writer: str | None = None
    """Model behind the OpenAI-compatible API that wrote the words; null: the champion itself."""


class StopRequest(RunnerRequest):
    """Nobody waits for an answer any longer."""

    answer_id: str


class Stopped(RunnerAnswer):
    """An answer has been told to stop."""

    was_running: bool


class RunnerStatus(Status):
    """The runner can answer."""

    index_version: str
    question_tokens: int
    """Most tokens of a question; a longer one is refused."""


AnswerEvent = Started | Sentence | Finished | Failure
_EVENT: TypeAdapter[AnswerEvent] = TypeAdapter(AnswerEvent)


def event_line(event: AnswerEvent) -> bytes:
    return event.model_dump_json().encode() + b"\n"


def read_event(line: bytes) -> AnswerEvent:
    return _EVENT.validate_json(line)


class Runner(Protocol):
    """The runner as the service calls it."""

    async def retrieve(self, requests: list[RetrieveRequest]) -> list[FoundPassages | Failure]: ...

    def generate(self, request: GenerateRequest) -> AsyncGenerator[bytes, None]:
        """Lines of `event_line`, cut anywhere."""
        ...

    async def stop(self, request: StopRequest) -> Stopped: ...

    async def status(self) -> RunnerStatus: ...
