"""A generated answer: whole, or in pieces as they come."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerBase

from inference.chat.decoding import text_pieces

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
