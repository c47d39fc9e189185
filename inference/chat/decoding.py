"""Decoding: tokens one by one, and their text as a stream.

This loop replaces `generate` in a thread: closing the stream stops the work at once, and the model's lock is held for one
step at a time, so that two conversations advance side by side.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

import torch
from transformers import (
    DynamicCache,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from inference.chat.settings import GenerationSettings

_UNFINISHED = "\ufffd"


def generate_ids(
    model: PreTrainedModel,
    prompt_ids: Sequence[int],
    *,
    settings: GenerationSettings,
    max_new_tokens: int,
    lock: threading.Lock,
) -> Iterator[int]:
    """New token ids, at most `max_new_tokens`; the caller stops iterating at an end token."""
    device = next(model.parameters()).device
    sequence = torch.tensor([list(prompt_ids)], device=device)
    step = sequence
    cache = DynamicCache(config=model.config)
    warpers = _warpers(settings)
    generator = torch.Generator(device=device).manual_seed(settings.seed)
    for _ in range(max_new_tokens):
        with lock, torch.inference_mode():
            output = model(input_ids=step, past_key_values=cache, use_cache=True, logits_to_keep=1)
            scores = warpers(sequence, output.logits[:, -1].float())
            if settings.temperature > 0:
                step = torch.multinomial(scores.softmax(-1), 1, generator=generator)
            else:
                step = scores.argmax(-1, keepdim=True)
            sequence = torch.cat((sequence, step), dim=1)
        yield int(step)


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


def _warpers(settings: GenerationSettings) -> LogitsProcessorList:
    warpers = LogitsProcessorList()
    if settings.repetition_penalty > 1:
        warpers.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    if settings.temperature > 0:
        warpers.append(TemperatureLogitsWarper(settings.temperature))
        warpers.append(TopPLogitsWarper(settings.top_p))
    return warpers
