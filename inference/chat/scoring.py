"""Nats per answer token: the loss that training minimises and evaluation reports, computed in one place.

Batches are padded on the left, so that all answers end at the right edge and the vocabulary's logits are needed for the
last positions only; with a vocabulary of 50,000 and answers of a third of the sequence that saves a tenth of the work.

Shapes: B examples, T tokens of the longest example, A tokens of the longest answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from inference.chat.prompt import Example

IGNORED = -100


@dataclass(frozen=True)
class TokenBatch:
    """Left-padded examples.

    Attributes:
        input_ids: int64 (B, T), prompt and answer.
        attention_mask: int64 (B, T), 1 on tokens, 0 on padding.
        labels: int64 (B, A), the answers aligned to the right, `IGNORED` before them.
    """

    input_ids: Tensor
    attention_mask: Tensor
    labels: Tensor

    def to(self, device: torch.device | str) -> TokenBatch:
        return TokenBatch(self.input_ids.to(device), self.attention_mask.to(device), self.labels.to(device))

    @property
    def answer_tokens(self) -> int:
        return int((self.labels != IGNORED).sum())


def collate(examples: Sequence[Example], pad_id: int) -> TokenBatch:
    """Batch of the examples in their order."""
    width = max(example.length for example in examples)
    answer_width = max(len(example.answer_ids) for example in examples)
    input_ids = torch.full((len(examples), width), pad_id, dtype=torch.int64)
    attention_mask = torch.zeros((len(examples), width), dtype=torch.int64)
    labels = torch.full((len(examples), answer_width), IGNORED, dtype=torch.int64)
    for row, example in enumerate(examples):
        input_ids[row, width - example.length :] = torch.tensor(example.prompt_ids + example.answer_ids)
        attention_mask[row, width - example.length :] = 1
        labels[row, answer_width - len(example.answer_ids) :] = torch.tensor(example.answer_ids)
    return TokenBatch(input_ids, attention_mask, labels)


def answer_nats(model: nn.Module, batch: TokenBatch) -> Tensor:
    """Negative log-likelihood of each answer token: float32 (B, A), 0 where the label is `IGNORED`.

    Args:
        model: causal language model of transformers, with or without an adapter.
    """
    # A padded row must count its positions from its first token, as it does when it stands alone.
    position_ids = (batch.attention_mask.cumsum(dim=1) - 1).clamp(min=0)
    length, width = batch.input_ids.shape[1], batch.labels.shape[1]
    output = model(
        input_ids=batch.input_ids,
        attention_mask=batch.attention_mask,
        position_ids=position_ids,
        use_cache=False,
        # The logits at a position tell of the next one: those of the last token have no label. Places, not their number: what a
        # slice keeps is not contiguous, and torch would copy the vocabulary's weights once per row (half of the time).
        logits_to_keep=torch.arange(length - width - 1, length - 1, device=batch.input_ids.device),
    )
    logits_BAV = output.logits.float()
    nats = cross_entropy(logits_BAV.flatten(0, 1), batch.labels.flatten(), ignore_index=IGNORED, reduction="none")
    return nats.view_as(batch.labels)


def score_examples(model: nn.Module, examples: Sequence[Example], pad_id: int, batch_tokens: int) -> list[float]:
    """Summed nats of each example's answer, in the examples' order.

    Args:
        batch_tokens: largest number of tokens, padding included, that go through the model at once.
    """
    device = next(model.parameters()).device
    totals = [0.0] * len(examples)
    for rows in length_batches([example.length for example in examples], batch_tokens):
        batch = collate([examples[row] for row in rows], pad_id).to(device)
        with torch.inference_mode():
            sums = answer_nats(model, batch).sum(dim=1).tolist()
        for row, total in zip(rows, sums, strict=True):
            totals[row] = total
    return totals


def length_batches(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Indices in batches of similar length, each of at most `batch_tokens` tokens with padding (or of one example)."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        if batches and lengths[index] * (len(batches[-1]) + 1) <= batch_tokens:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
