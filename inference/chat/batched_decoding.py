"""Tokens of several answers in one pass through the model: a pass reads all weights, for one answer as for eight.

Answers join and leave between two tokens (iteration-level scheduling, Orca, OSDI 2022, section 4.1). Their keys and values lie in
one tensor per layer, padded on the left to the longest; paged attention (arXiv 2309.06180) would save the padding, which is
little among a dozen answers whose prompts are bounded.

Shapes: B answers, T tokens of the longest, H key-value heads, D values per head, V tokens of the vocabulary.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Generator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import DynamicCache, PreTrainedModel

from inference.chat.decoding import sampled_token, warpers_of
from inference.chat.settings import GenerationSettings
from inference.chat.shared_work import SharedWork


class _Row:
    """One answer in the batch."""

    def __init__(
        self, prompt_ids: Sequence[int], most: int, settings: GenerationSettings, device: torch.device
    ) -> None:
        self.sequence = torch.tensor([list(prompt_ids)], device=device)
        self.room = most
        self.generator = torch.Generator(device=device).manual_seed(settings.seed)
        self.new: deque[int] = deque()
        self.ended = False
        self.error: BaseException | None = None

    def readable(self) -> bool:
        return bool(self.new) or self.ended


class BatchedDecoder:
    """Generates for threads that ask at the same time; each reads its own tokens.

    Args:
        end_ids: tokens that end an answer; they are returned too.
        lock: held while the model makes tokens.
    """

    def __init__(
        self, model: PreTrainedModel, settings: GenerationSettings, end_ids: frozenset[int], lock: threading.Lock
    ) -> None:
        self._model, self._settings, self._end_ids, self._lock = model, settings, end_ids, lock
        self._warpers = warpers_of(settings)
        self._work = SharedWork()
        self._joining: deque[_Row] = deque()
        self._rows: list[_Row] = []
        self._cache = DynamicCache()
        self._mask_BT = torch.zeros((0, 0), dtype=torch.int64)

    def generate_ids(self, prompt_ids: Sequence[int], max_new_tokens: int) -> Generator[int, None, None]:
        """New token ids up to an end token, at most `max_new_tokens`. Close it to leave the batch early."""
        row = _Row(prompt_ids, max_new_tokens, self._settings, self._device)
        self._joining.append(row)
        try:
            while True:
                self._work.until(row.readable, self._step)
                if not row.new:
                    if row.error is not None:
                        raise row.error
                    return
                yield row.new.popleft()
        finally:
            row.ended = True

    @property
    def _device(self) -> torch.device:
        return next(self._model.parameters()).device

    def _step(self) -> None:
        """One token for every answer in the batch, after at most one more has joined it."""
        try:
            with self._lock, torch.inference_mode():
                self._let_go()
                if self._rows:
                    self._advance()
                if self._joining:
                    self._join(self._joining.popleft())
        except BaseException as error:  # of the thread that happens to work, but of all in the batch
            for row in self._rows:
                row.error, row.ended = error, True

    def _advance(self) -> None:
        last_B1 = torch.cat([row.sequence[:, -1:] for row in self._rows])
        self._mask_BT = pad(self._mask_BT, (0, 1), value=1)
        output = self._model(
            input_ids=last_B1, attention_mask=self._mask_BT, position_ids=self._mask_BT.sum(1, keepdim=True) - 1,
            past_key_values=self._cache, use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        for row, logits_V in zip(self._rows, output.logits[:, -1], strict=True):
            self._take(row, logits_V)

    def _join(self, row: _Row) -> None:
        cache = DynamicCache()
        self._rows.append(row)
        output = self._model(input_ids=row.sequence, past_key_values=cache, use_cache=True, logits_to_keep=1)
        self._take(row, output.logits[0, -1])
        mask_1T = torch.ones_like(row.sequence[:, : cache.get_seq_length()])
        if len(self._rows) == 1:
            self._cache, self._mask_BT = cache, mask_1T
            return
        width = max(self._mask_BT.shape[1], mask_1T.shape[1])
        self._mask_BT = torch.cat([_widened(self._mask_BT, width, -1), _widened(mask_1T, width, -1)])
        for layer, joining in zip(self._cache.layers, cache.layers, strict=True):
            layer.keys = torch.cat([_widened(layer.keys, width, -2), _widened(joining.keys, width, -2)])
            layer.values = torch.cat([_widened(layer.values, width, -2), _widened(joining.values, width, -2)])

    def _let_go(self) -> None:
        """Take what ended out of the batch, and the padding that it alone needed."""
        stay = [index for index, row in enumerate(self._rows) if not row.ended]
        if len(stay) == len(self._rows):
            return
        self._rows = [self._rows[index] for index in stay]
        if not stay:
            self._cache = DynamicCache()
            return
        self._mask_BT = self._mask_BT[stay]
        unused = int(self._mask_BT.shape[1] - self._mask_BT.sum(1).max())
        self._mask_BT = self._mask_BT[:, unused:]
        for layer in self._cache.layers:
            layer.keys = layer.keys[stay, :, unused:]
            layer.values = layer.values[stay, :, unused:]

    def _take(self, row: _Row, logits_V: Tensor) -> None:
        token_11 = sampled_token(row.sequence, logits_V[None], self._settings, self._warpers, row.generator)
        row.sequence = torch.cat((row.sequence, token_11), dim=1)
        row.room -= 1
        token = int(token_11)
        row.new.append(token)
        row.ended = row.ended or token in self._end_ids or row.room == 0


def _widened(tensor: Tensor, width: int, dim: int) -> Tensor:
    """Zeros before a tensor along a dimension, counted from the last, so that it is `width` long there."""
    missing = width - tensor.shape[dim]
    return pad(tensor, (0, 0) * (-dim - 1) + (missing, 0)) if missing else tensor
