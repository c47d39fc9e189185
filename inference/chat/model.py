"""A chat model that answers: base and adapter, loaded once, shared by threads."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aura.errors import InvalidRequestError
from aura.paths import cache_dir as default_cache_dir
from inference.chat.artifact import add_lora, load_adapter, read_chat_artifact
from inference.chat.base import load_causal_model, load_tokenizer, resolve_base
from inference.chat.decoding import end_token_ids, generate_ids, text_pieces
from inference.chat.prompt import Example, Message, PromptBuilder
from inference.chat.scoring import score_examples
from inference.chat.settings import GenerationSettings, PromptSettings

DtypeName = Literal["auto", "float32", "bfloat16"]
FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Reply:
    """A whole answer. `finish_reason`: `stop` when the model ended it, `length` when the limit did."""

    text: str
    prompt_tokens: int
    new_tokens: int
    finish_reason: FinishReason


class ReplyStream(Iterator[str]):
    """An answer in pieces, as they are generated. `close()` ends the work; the counts stay readable.

    Attributes:
        prompt_tokens: tokens that the answer follows.
        dropped_messages: earlier messages that did not fit into the prompt.
        used_passages: passages, from the first, of which at least a part is in the prompt.
        new_tokens: tokens generated so far, without the end token.
        finish_reason: None until the answer has ended.
    """

    def __init__(
        self,
        tokens: Iterator[int],
        tokenizer: PreTrainedTokenizerBase,
        end_ids: frozenset[int],
        *,
        prompt_tokens: int,
        dropped_messages: int,
        used_passages: int,
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self.dropped_messages = dropped_messages
        self.used_passages = used_passages
        self.new_tokens = 0
        self.finish_reason: FinishReason | None = None
        self._end_ids = end_ids
        self._pieces = self._run(tokens, tokenizer)

    def __iter__(self) -> ReplyStream:
        return self

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stop generating. Safe to call at any time, and more than once."""
        self._pieces.close()

    def _run(self, tokens: Iterator[int], tokenizer: PreTrainedTokenizerBase) -> Generator[str, None, None]:
        for piece, ended in text_pieces(tokenizer, self._counted(tokens), self._end_ids):
            if piece:
                yield piece
            if ended:
                self.finish_reason = "stop"
        if self.finish_reason is None:
            self.finish_reason = "length"

    def _counted(self, tokens: Iterator[int]) -> Iterator[int]:
        for token in tokens:
            self.new_tokens += token not in self._end_ids
            yield token


class ChatModel:
    """Base model, adapter and prompt builder. Safe to share by threads; steps of different answers alternate."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        prompt: PromptSettings,
        generation: GenerationSettings,
    ) -> None:
        self.model = model.eval()
        self.tokenizer = tokenizer
        self.prompts = PromptBuilder(tokenizer, prompt)
        self.generation = generation
        self._end_ids = end_token_ids(model, tokenizer)
        self._context_tokens = int(model.config.get_text_config().max_position_embeddings)
        self._lock = threading.Lock()

    @property
    def question_tokens(self) -> int:
        """Most tokens of a question; a longer one is refused."""
        return self.prompts.settings.question_tokens

    @classmethod
    def load(
        cls, folder: Path, device: str = "cpu", *, dtype: DtypeName = "auto", cache_dir: Path | None = None
    ) -> ChatModel:
        """Model of an artifact: the base in 16 or 32 bits with the adapter folded in (never into 4 bits, which drifts).

        Args:
            device: torch device, for example `cpu` or `cuda:0`.
            dtype: `auto` is float32 on a CPU and bfloat16 elsewhere.
            cache_dir: where converted bases lie; default: `aura.paths.cache_dir()`.

        Raises:
            ArtifactError: the artifact is incomplete or broken, or its base is not available.
        """
        config, prompt = read_chat_artifact(folder)
        base_folder = resolve_base(config.base, cache_dir or default_cache_dir())
        base = load_causal_model(base_folder, dtype=_torch_dtype(dtype, device)).to(device)
        adapted = add_lora(base, config.lora, config.base)
        load_adapter(adapted, folder)
        merged = adapted.merge_and_unload(safe_merge=True)
        return cls(merged, load_tokenizer(base_folder), prompt=prompt, generation=config.generation)

    @classmethod
    def load_base(
        cls,
        reference: str,
        device: str = "cpu",
        *,
        prompt: PromptSettings | None = None,
        generation: GenerationSettings | None = None,
        dtype: DtypeName = "auto",
        cache_dir: Path | None = None,
    ) -> ChatModel:
        """The base without an adapter, for answers before training. Arguments as in `load`.

        Raises:
            ArtifactError: the base is not available.
        """
        base_folder = resolve_base(reference, cache_dir or default_cache_dir())
        base = load_causal_model(base_folder, dtype=_torch_dtype(dtype, device)).to(device)
        return cls(
            base,
            load_tokenizer(base_folder),
            prompt=prompt or PromptSettings(),
            generation=generation or GenerationSettings(),
        )

    def stream(
        self, messages: Sequence[Message], passages: Sequence[str] = (), max_new_tokens: int | None = None
    ) -> ReplyStream:
        """Answer in pieces; nothing is computed before the first piece is requested.

        Args:
            messages: the conversation, ending with the user's question.
            passages: retrieved texts, best first.
            max_new_tokens: limit of this answer; default: the artifact's.

        Raises:
            InvalidRequestError: at once, if the conversation or the limit cannot be used.
        """
        limit = self.generation.max_new_tokens if max_new_tokens is None else max_new_tokens
        prompt = self.prompts.prompt(messages, passages)
        room = self._context_tokens - len(prompt.ids)
        if not 1 <= limit <= room:
            raise InvalidRequestError(f"max_new_tokens is {limit}; allowed with this conversation: 1 to {room}")
        tokens = generate_ids(self.model, prompt.ids, settings=self.generation, max_new_tokens=limit, lock=self._lock)
        return ReplyStream(
            tokens, self.tokenizer, self._end_ids,
            prompt_tokens=len(prompt.ids), dropped_messages=prompt.dropped_messages, used_passages=prompt.used_passages,
        )  # fmt: skip

    def reply(
        self, messages: Sequence[Message], passages: Sequence[str] = (), max_new_tokens: int | None = None
    ) -> Reply:
        """The whole answer; arguments and errors as in `stream`."""
        stream = self.stream(messages, passages, max_new_tokens)
        text = "".join(stream)
        return Reply(text, stream.prompt_tokens, stream.new_tokens, stream.finish_reason or "length")

    def answer_nats(self, examples: Sequence[Example], batch_tokens: int = 1024) -> list[float]:
        """Negative log-likelihood of each example's answer, in nats summed over its tokens.

        Args:
            batch_tokens: tokens that go through the model at once; more needs more memory.
        """
        with self._lock:
            return score_examples(self.model, examples, int(self.tokenizer.pad_token_id), batch_tokens)


def _torch_dtype(name: DtypeName, device: str) -> torch.dtype:
    if name == "auto":
        return torch.float32 if device.startswith("cpu") else torch.bfloat16
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
