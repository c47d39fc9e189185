"""Scores questions behind prompts that come again: what the model made of a prompt is kept, and only the question is computed.

The sentences of a knowledge base are few and the questions about them many; a prompt has four times the tokens of a question.
Keys and values of the latest prompts are kept (prefix caching, as in vLLM; RadixAttention, arXiv 2312.07104, section 3).

Shapes: L layers, B examples, H key-value heads, P tokens of the longest prompt but its last, A tokens of the longest answer, D
values per head, V tokens of the vocabulary.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import DynamicCache, PreTrainedModel

from inference.chat.prompt import Example
from inference.chat.scoring import IGNORED, length_batches

Prompt = tuple[int, ...]


class PromptCache:
    """Scores examples, and remembers the prompts. Safe to share by threads.

    Args:
        max_bytes: of keys and values that are kept beyond those of the examples at hand; those unused longest go first.
    """

    def __init__(self, model: PreTrainedModel, pad_id: int, max_bytes: int) -> None:
        self._model, self._pad_id, self._max_bytes = model, pad_id, max_bytes
        self._kept: OrderedDict[Prompt, Tensor] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def nats(self, examples: Sequence[Example], batch_tokens: int) -> list[float]:
        """As `scoring.score_examples`: summed nats of each example's answer, in the examples' order."""
        with torch.inference_mode():
            states = self._states({_before_last(example): None for example in examples}, batch_tokens)
            totals = [0.0] * len(examples)
            # A question is short and its prompt costs only memory: batches as wide as the answers alone allow.
            for rows in length_batches([len(example.answer_ids) for example in examples], batch_tokens):
                for row, total in zip(rows, self._scored([examples[row] for row in rows], states), strict=True):
                    totals[row] = total
        return totals

    def _states(self, prompts: dict[Prompt, None], batch_tokens: int) -> dict[Prompt, Tensor]:
        """Keys and values of the prompts; those that are not kept go through the model."""
        with self._lock:
            states = {prompt: self._kept[prompt] for prompt in prompts if prompt in self._kept}
        states |= self._read([prompt for prompt in prompts if prompt not in states], batch_tokens)
        with self._lock:
            for prompt in prompts:
                self._bytes += 0 if prompt in self._kept else states[prompt].nbytes
                self._kept[prompt] = states[prompt]
                self._kept.move_to_end(prompt)
            while self._bytes > self._max_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return states

    def _read(self, missing: Sequence[Prompt], batch_tokens: int) -> dict[Prompt, Tensor]:
        states = {}
        for rows in length_batches([len(prompt) for prompt in missing], batch_tokens):
            batch = [missing[row] for row in rows]
            width = max(map(len, batch))
            # Padded on the right: no token sees what stands behind it, and each prompt's own part is cut out.
            ids = [[*prompt, *[self._pad_id] * (width - len(prompt))] for prompt in batch]
            cache = DynamicCache()
            self._model(input_ids=self._tensor(ids), past_key_values=cache, use_cache=True, logits_to_keep=1)
            for row, prompt in enumerate(batch):
                layers = [
                    (layer.keys[row, :, : len(prompt)], layer.values[row, :, : len(prompt)]) for layer in cache.layers
                ]
                states[prompt] = torch.stack([torch.stack(layer) for layer in layers])  # (L, 2, H, T, D)
        return states

    def _scored(self, examples: Sequence[Example], read: Mapping[Prompt, Tensor]) -> list[float]:
        states = [read[_before_last(example)] for example in examples]
        lengths = [len(example.prompt_ids) - 1 for example in examples]
        longest, width = max(lengths), max(len(example.answer_ids) for example in examples)
        layers, _, heads, _, size = states[0].shape
        past = states[0].new_zeros((layers, 2, len(examples), heads, longest, size))
        mask_BT = torch.zeros((len(examples), longest + width), dtype=torch.int64)
        ids = torch.full((len(examples), width), self._pad_id, dtype=torch.int64)
        labels = torch.full((len(examples), width), IGNORED, dtype=torch.int64)
        for row, (example, length) in enumerate(zip(examples, lengths, strict=True)):
            past[:, :, row, :, longest - length :] = states[row]
            mask_BT[row, longest - length :] = 1
            count = len(example.answer_ids)
            ids[row, :count] = torch.tensor([example.prompt_ids[-1], *example.answer_ids[:-1]])
            labels[row, :count] = torch.tensor(example.answer_ids)
        positions = torch.tensor(lengths)[:, None] + torch.arange(width)
        device = self._device
        output = self._model(
            input_ids=ids.to(device), attention_mask=mask_BT.to(device), position_ids=positions.to(device),
            past_key_values=DynamicCache([(keys, values) for keys, values in past]), use_cache=True,
        )  # fmt: skip
        logits_BAV = output.logits.float()
        nats = cross_entropy(
            logits_BAV.flatten(0, 1), labels.to(device).flatten(), ignore_index=IGNORED, reduction="none"
        )
        totals: list[float] = nats.view(labels.shape).sum(dim=1).tolist()
        return totals

    @property
    def _device(self) -> torch.device:
        return next(self._model.parameters()).device

    def _tensor(self, ids: list[list[int]]) -> Tensor:
        return torch.tensor(ids, device=self._device)


def _before_last(example: Example) -> Prompt:
    """The prompt without its last token, whose logits tell of the answer's first: it is computed with the answer."""
    return tuple(example.prompt_ids[:-1])
