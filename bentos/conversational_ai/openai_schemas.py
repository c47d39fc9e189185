"""Requests and answers of the OpenAI-compatible API (OpenAI API reference, "Chat Completions" and "Models").

What Aura says beyond OpenAI's format is in one more field, `aura`, which OpenAI's clients keep and others pass over.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from aura.errors import InvalidRequestError
from bentos.conversational_ai.messages import Passage, Sentence, Usage
from bentos.conversational_ai.schemas import MAX_ANSWER_TOKENS, ChatRequest
from bentos.serving.error_text import shortened, validation_text
from bentos.serving.messages import ModelVersion, ReleaseVersions
from bentos.serving.request_body import RequestBody
from inference.chat.passages import DEFAULT_PASSAGES

MODEL_NAME = "aura-chat"
_MAX_MESSAGES = 40
"""Latest messages that are looked at; no prompt has room for more."""
_MAX_IGNORED = 20


class StreamOptions(BaseModel):
    """What a stream tells besides the answer."""

    include_usage: bool = Field(default=False, description="one more chunk at the end, without choices, with `usage`")


class TextPart(BaseModel):
    """A piece of a message that is text; there are no others."""

    type: Literal["text"]
    text: str


class CompletionMessage(BaseModel):
    """A message as OpenAI's clients send it: more fields are passed over."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class CompletionRequest(RequestBody):
    """A conversation that ends with the user's question. Parameters of OpenAI's that are not listed here change nothing, and are
    named in the answer's `aura.ignored`."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(max_length=200, description=f"`{MODEL_NAME}`")
    messages: list[CompletionMessage] = Field(
        min_length=1,
        max_length=1000,
        description="of `system` and `developer` messages nothing is used: the model has its own",
    )
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    n: int | None = Field(default=None, ge=1, le=1)
    tools: Annotated[list[Any], Field(max_length=0, description="no tools are called")] | None = None
    passages: int = Field(
        default=DEFAULT_PASSAGES, ge=0, le=5, description="Aura's own: knowledge passages that the answer may use"
    )

    @model_validator(mode="after")
    def _has_a_question(self) -> Self:
        if self.messages[-1].role != "user":
            raise ValueError("the last message must be the user's question")
        return self

    def ignored(self) -> list[str]:
        """What was sent and changes nothing."""
        names = [shortened(name) for name in list(self.model_extra or {})[:_MAX_IGNORED]]
        return names + ["system messages"] * any(message.role in ("system", "developer") for message in self.messages)

    def chat_request(self) -> ChatRequest:
        """The same question in Aura's own terms.

        Raises:
            InvalidRequestError: a message is empty or too long.
        """
        said = [
            {"role": message.role, "content": message.text}
            for message in self.messages
            if message.role in ("user", "assistant")
        ]
        limit = self.max_completion_tokens or self.max_tokens
        try:
            return ChatRequest.model_validate(
                {
                    "messages": said[-_MAX_MESSAGES:], "passages": self.passages,
                    "max_new_tokens": limit and min(limit, MAX_ANSWER_TOKENS),
                }
            )  # fmt: skip
        except ValidationError as error:
            problems = validation_text(error.errors(include_url=False, include_input=False))
            raise InvalidRequestError(problems, hint="see the docs page of this service") from None


class UrlCitation(BaseModel):
    """Which characters of the message rest on which source."""

    start_index: int
    end_index: int
    title: str
    url: str = Field(description="`aura:knowledge/` and the slug of the page")


class Annotation(BaseModel):
    """A citation, as OpenAI's web search gives it."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitation


class Extension(BaseModel):
    """What an answer says beyond OpenAI's format; in a stream the sources come first, the rest last."""

    sources: list[Passage] | None = None
    sentences: list[Sentence] | None = None
    declined: bool | None = None
    dropped_messages: int | None = None
    finish_reason: str | None = None
    model: ModelVersion | None = None
    release: ReleaseVersions | None = None
    ignored: list[str] | None = None


class CompletionUsage(BaseModel):
    """Tokens of an answer; the champion's tokenizer counts them, also where sentences were quoted and none was generated."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage | None) -> Self | None:
        """None where another model wrote the words."""
        if usage is None:
            return None
        prompt, completion = usage.prompt_tokens, usage.completion_tokens
        return cls(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)


class AnswerMessage(BaseModel):
    """The assistant's message; a plain sentence where nothing that was found answers the question."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None
    annotations: list[Annotation]


class Choice(BaseModel):
    """The one answer."""

    index: Literal[0] = 0
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatCompletion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: CompletionUsage | None = None
    aura: Extension


class Delta(BaseModel):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    annotations: list[Annotation] | None = None


class ChunkChoice(BaseModel):
    """What a chunk adds to the one answer."""

    index: Literal[0] = 0
    delta: Delta
    finish_reason: Literal["stop", "length"] | None = None


class ChatCompletionChunk(BaseModel):
    """A piece of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None = None
    aura: Extension | None = None


class Model(BaseModel):
    """A model that can be asked."""

    id: str = MODEL_NAME
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "aura"


class ModelList(BaseModel):
    """The models that can be asked."""

    object: Literal["list"] = "list"
    data: list[Model]


class OpenAIError(BaseModel):
    """What went wrong, in OpenAI's words."""

    message: str
    type: Literal[
        "invalid_request_error", "authentication_error", "permission_error", "rate_limit_error", "server_error"
    ]
    param: str | None = None
    code: str
    request_id: str


class OpenAIErrorBody(BaseModel):
    """Body of every answer of the OpenAI-compatible API whose status is not 2xx."""

    error: OpenAIError
