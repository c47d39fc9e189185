"""The words of an answer from a model behind any OpenAI-compatible API: vLLM, llama.cpp, Ollama, OpenAI itself.

The client is OpenAI's own, which reads `OPENAI_API_KEY` and `OPENAI_BASE_URL`. What such a model says is checked against the
passages like what ours says (`inference.chat.support`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Any

from aura.errors import BusyError, ServiceError, SettingsError
from aura.heavy_imports import heavy_imports
from inference.chat.answer import Wanted, always, while_wanted
from inference.chat.prompt import Message, PromptBuilder
from inference.chat.reply import FinishReason

_SILENCE_SECONDS = 60.0
"""Limit of the wait for the next piece of an answer."""


class BackendReply(Iterator[str]):
    """An answer in pieces, as they arrive; attributes as those of `ReplyStream`."""

    def __init__(
        self, pieces: Generator[str, None, FinishReason], *, dropped_messages: int, used_passages: int
    ) -> None:
        self.prompt_tokens = 0
        self.dropped_messages = dropped_messages
        self.used_passages = used_passages
        self.finish_reason: FinishReason | None = None
        self._pieces = self._told(pieces)

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """End the request. Safe to call at any time, and more than once."""
        self._pieces.close()

    def _told(self, pieces: Generator[str, None, FinishReason]) -> Generator[str, None, None]:
        with closing(pieces):
            self.finish_reason = yield from pieces


class OpenAIBackend:
    """Writes answers with one model behind the API.

    Args:
        model: its name there.

    Raises:
        SettingsError: there is no key.
    """

    def __init__(self, model: str) -> None:
        with heavy_imports():
            import openai

        self.model = model
        self._errors = openai
        try:
            self._client = openai.OpenAI(max_retries=1, timeout=_SILENCE_SECONDS)
        except openai.OpenAIError as error:
            raise SettingsError(
                f"serving.openai_model is {model!r}, but: {error}",
                hint="set OPENAI_API_KEY (to any text for a server that asks for none) and OPENAI_BASE_URL",
            ) from error

    def stream(
        self,
        prompts: PromptBuilder,
        messages: Sequence[Message],
        passages: Sequence[str],
        max_new_tokens: int,
        wanted: Wanted = always,
    ) -> BackendReply:
        """What the model says; nothing is sent before the first piece is requested. Arguments as of `ChatModel.stream`.

        Raises:
            InvalidRequestError: at once, if the conversation cannot be used.
        """
        told = prompts.conversation(messages, passages)
        pieces = self._pieces(told.messages, max_new_tokens, wanted)
        return BackendReply(pieces, dropped_messages=told.dropped_messages, used_passages=told.used_passages)

    def _pieces(self, messages: list[Any], max_new_tokens: int, wanted: Wanted) -> Generator[str, None, FinishReason]:
        reason: FinishReason = "length"
        try:
            chunks = self._client.chat.completions.create(
                model=self.model, messages=messages, max_completion_tokens=max_new_tokens, stream=True
            )
            for chunk in while_wanted(chunks, wanted):
                for choice in chunk.choices[:1]:
                    if choice.finish_reason == "stop":
                        reason = "stop"
                    if choice.delta.content:
                        yield choice.delta.content
        except (
            self._errors.APIConnectionError,
            self._errors.RateLimitError,
            self._errors.InternalServerError,
        ) as error:
            raise BusyError("the language model behind this service does not answer", hint="try again later") from error
        except self._errors.APIError as error:
            raise ServiceError(
                f"the OpenAI-compatible API refused a request for {self.model!r}: {error}",
                hint="check serving.openai_model, OPENAI_API_KEY and OPENAI_BASE_URL",
            ) from error
        return reason
