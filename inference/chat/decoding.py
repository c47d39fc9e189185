"""Decoding: the choice of a token, and the text of tokens as a stream."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from inference.chat.settings import GenerationSettings

_UNFINISHED = "\ufffd"


def sampled_token(
    sequence_1T: Tensor,
    logits_1V: Tensor,
    settings: GenerationSettings,
    warpers: LogitsProcessorList,
    generator: torch.Generator,
) -> Tensor:
    """The token after a sequence: int64 (1, 1)."""
    scores = warpers(sequence_1T, logits_1V.float())
    if settings.temperature > 0:
        return torch.multinomial(scores.softmax(-1), 1, generator=generator)
    return scores.argmax(-1, keepdim=True)


def text_pieces(
    tokenizer: PreTrainedTokenizerBase, ids: Iterator[int], end_ids: frozenset[int]
) -> Iterator[tuple[str, bool]]:
    """`(text, ended)` per token: what it adds to the answer (may be empty), and whether it is an end token.

    A character of several tokens is held back until it is whole; at the limit the rest is returned as it is.
    """
    seen: list[int] = []
    sent = 0
    for token in ids:
        if token in end_ids:
            rest = tokenizer.decode(seen, skip_special_tokens=True)[sent:]
            yield rest, True
            return
        seen.append(token)
        text = tokenizer.decode(seen, skip_special_tokens=True)
        if text.endswith(_UNFINISHED):
            yield "", False
            continue
        yield text[sent:], False
        sent = len(text)
    rest = tokenizer.decode(seen, skip_special_tokens=True)[sent:]
    if rest:
        yield rest, False


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every token that ends an answer: the tokenizer's, and those the model's generation config names."""
    named = model.generation_config.eos_token_id if model.generation_config is not None else None
    ids = [named] if isinstance(named, int) else list(named or ())
    return frozenset({*ids, int(tokenizer.eos_token_id)})


def warpers_of(settings: GenerationSettings) -> LogitsProcessorList:
    warpers = LogitsProcessorList()
    if settings.repetition_penalty > 1:
        warpers.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    if settings.temperature > 0:
        warpers.append(TemperatureLogitsWarper(settings.temperature))
        warpers.append(TopPLogitsWarper(settings.top_p))
    return warpers
