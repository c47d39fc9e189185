"""The outfit model as services and evaluation use it: load an artifact, score outfits, find what completes them.

Shapes: N items, D item vector, V words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from aura.errors import InvalidRequestError
from aura.taxonomy import Category, category_id
from inference.outfits import artifact
from inference.outfits.calibration import Calibration
from inference.outfits.items import MAX_OUTFIT_ITEMS, Item
from inference.outfits.network import OutfitNetwork
from inference.outfits.picture_titles import titled
from inference.outfits.term_pairs import TermPairs, category_shares, pair_means
from inference.outfits.towers import FrozenTowers

_ITEMS_PER_BATCH = 128
_OUTFITS_PER_BATCH = 256


@dataclass(frozen=True, eq=False)
class EncodedItems:
    """N items as answers are computed from them, on the model's device.

    Attributes:
        vectors: float `(N, D)`.
        words: float32 `(N, V)`, see `TermPairs.shares`.
        categories: float32 `(N, len(CATEGORIES))`, one-hot.
        titled: float32 `(N,)`, 1 where the item has a title of its own, else 0.
    """

    vectors: Tensor
    words: Tensor
    categories: Tensor
    titled: Tensor

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: Sequence[int]) -> EncodedItems:
        return EncodedItems(self.vectors[rows], self.words[rows], self.categories[rows], self.titled[rows])

    @staticmethod
    def concatenate(batches: Sequence[EncodedItems]) -> EncodedItems:
        return EncodedItems(
            torch.cat([batch.vectors for batch in batches]),
            torch.cat([batch.words for batch in batches]),
            torch.cat([batch.categories for batch in batches]),
            torch.cat([batch.titled for batch in batches]),
        )


class OutfitModel:
    """Answers about outfits of 1 to 12 items, in any order, with or without pictures and titles. Safe to share by threads.

    A garment with a picture and no title is given the title that its picture gives (`inference.outfits.picture_titles`).
    """

    def __init__(
        self,
        network: OutfitNetwork,
        towers: FrozenTowers,
        terms: TermPairs,
        calibration: Calibration,
        device: str = "cpu",
    ) -> None:
        self._device = torch.device(device)
        self._network = network.to(self._device).eval()
        self._towers = towers
        self._terms = terms.to(self._device)
        self._calibration = calibration

    @classmethod
    def load(cls, folder: Path, device: str = "cpu", *, remember: bool = False) -> Self:
        """Model of an artifact directory.

        Args:
            remember: keep the features of pictures on disk for the next process. Not for the pictures of users.

        Raises:
            ArtifactError: a file is missing, broken or of another code version, or a frozen tower cannot be loaded.
        """
        return cls(*artifact.load(Path(folder), device, remember=remember), device)

    @property
    def embedding_dim(self) -> int:
        """Length of item embeddings and queries."""
        return self._network.config.embedding_dim

    def score(self, outfits: Sequence[Sequence[Item]]) -> list[float]:
        """Probability in [0, 1] of each outfit that its garments go together, where half of all outfits do.

        Raises:
            InvalidRequestError: an outfit has no item or more than 12.
        """
        return self.score_encoded(*self._encode_outfits(outfits))

    def judge(self, outfits: Sequence[Sequence[Item]]) -> list[tuple[float, list[float]]]:
        """Of each outfit its score, and how much each garment adds to it: the score minus that without the garment.

        Negative: the outfit is better off without it. This describes what the model does, not why. A single garment adds 0.

        Raises:
            InvalidRequestError: an outfit has no item or more than 12.
        """
        items, wholes = self._encode_outfits(outfits)
        without = [
            [row[:place] + row[place + 1 :] for place in range(len(row))] if len(row) > 1 else [] for row in wholes
        ]
        scores = iter(self.score_encoded(items, [*wholes, *chain.from_iterable(without)]))
        whole_scores = list(islice(scores, len(wholes)))
        return [
            (score, [score - other for other in islice(scores, len(others))] or [0.0])
            for score, others in zip(whole_scores, without, strict=True)
        ]

    def with_vectors(self, items: Sequence[Item]) -> list[Item]:
        """The items, titled and with what the encoders make of them: all further questions about them take little time."""
        named = [titled(item) for item in items]
        return [replace(item, vector=vector) for item, vector in zip(named, self.item_vectors(named), strict=True)]

    def item_vectors(self, items: Iterable[Item]) -> np.ndarray:
        """float32 `(N, D)`: `Item.vector` of each item."""
        return self.encode(items).vectors.float().cpu().numpy()

    @torch.inference_mode()
    def embed_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """`embed_items` of items that are given as their vectors."""
        # Copied: those of a catalog may be mapped from a file that nobody may write to.
        return self._network.item_embeddings(torch.tensor(vectors, device=self._device)).float().cpu().numpy()

    def embed_items(self, items: Sequence[Item]) -> np.ndarray:
        """Embeddings float32 `(N, embedding_dim)` of norm 1, to be indexed and compared with `query` by cosine or L2."""
        return self.embed_encoded(self.encode(items))

    def query(self, outfit: Sequence[Item], target: Category) -> np.ndarray:
        """Embedding float32 `(embedding_dim,)` of the garment of category `target` that completes the outfit.

        Raises:
            InvalidRequestError: the outfit has no item or more than 12.
        """
        return self.queries([outfit], [target])[0]

    def queries(self, outfits: Sequence[Sequence[Item]], targets: Sequence[Category]) -> np.ndarray:
        """Many queries at once: float32 `(len(outfits), embedding_dim)`.

        Raises:
            InvalidRequestError: an outfit has no item or more than 12.
        """
        return self.queries_encoded(*self._encode_outfits(outfits), targets)

    def rank(self, outfit: Sequence[Item], target: Category, candidates: Sequence[Item]) -> list[tuple[int, float]]:
        """Candidates as (index, cosine similarity in [-1, 1] to the query), best first; equal ones in the order given.

        Raises:
            InvalidRequestError: the outfit has no item or more than 12.
        """
        similarity = self.embed_items(candidates) @ self.query(outfit, target)
        order = np.argsort(-similarity, kind="stable")
        return [(int(index), float(similarity[index])) for index in order]

    def strongest_words(self, first: Item, second: Item) -> tuple[str, str, float] | None:
        """See `TermPairs.strongest`."""
        return self._terms.strongest(first, second)

    @torch.inference_mode()
    def encode(self, items: Iterable[Item]) -> EncodedItems:
        """What every answer is computed from.

        Encoding is nearly all of an answer's work. To ask about the same garments repeatedly, encode them once
        and call `score_encoded`, `queries_encoded` and `embed_encoded`, as `score`, `queries` and `embed_items` do.
        Items are read batch by batch, so that an iterable may open pictures on demand.
        """
        source = iter(items)
        batches = [self._encode_batch([])]
        while batch := list(islice(source, _ITEMS_PER_BATCH)):
            batches.append(self._encode_batch([titled(item) for item in batch]))
        return EncodedItems.concatenate(batches)

    def _encode_batch(self, items: Sequence[Item]) -> EncodedItems:
        return EncodedItems(
            self._vectors(items),
            self._terms.shares(items).to(self._device),
            category_shares(items).to(self._device),
            torch.tensor([float(item.has_own_title) for item in items], device=self._device),
        )

    def _vectors(self, items: Sequence[Item]) -> Tensor:
        """`EncodedItems.vectors`; of items that come with theirs nothing is read."""
        new = [row for row, item in enumerate(items) if item.vector is None]
        vectors = self._network.encode_items(self._towers.read([items[row] for row in new]).to(self._device))
        if len(new) == len(items):
            return vectors
        known = [np.zeros(vectors.shape[1]) if item.vector is None else item.vector for item in items]
        merged = torch.from_numpy(np.array(known, dtype=np.float32)).to(vectors)
        merged[new] = vectors
        return merged

    @torch.inference_mode()
    def score_encoded(self, items: EncodedItems, outfits: Sequence[Sequence[int]]) -> list[float]:
        """`score` of outfits that are given as rows of `encode`d items.

        Raises:
            InvalidRequestError: an outfit has no item or more than 12.
        """
        return [float(score) for score in torch.sigmoid(self._calibration.logits(*self.evidence(items, outfits)))]

    @torch.inference_mode()
    def evidence(self, items: EncodedItems, outfits: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """What a calibration weighs: see `Calibration.logits`.

        Raises:
            InvalidRequestError: an outfit has no item or more than 12.
        """
        _check_sizes(outfits)
        found = [torch.zeros(0, 5, device=self._device)]
        for start in range(0, len(outfits), _OUTFITS_PER_BATCH):
            members, present = self._pad(outfits[start : start + _OUTFITS_PER_BATCH])
            logits = self._network.compatibility_logits(items.vectors, members, present).float()
            words = pair_means(self._terms.words, items.words, members, present)
            categories = pair_means(self._terms.categories, items.categories, members, present)
            garments = present.sum(dim=1).float()
            shares = (items.titled[members] * present).sum(dim=1) / garments
            found.append(torch.stack([logits, words, categories, shares, garments], dim=1))
        together = torch.cat(found)
        return together[:, :3], together[:, 3], together[:, 4]

    @torch.inference_mode()
    def queries_encoded(
        self, items: EncodedItems, outfits: Sequence[Sequence[int]], targets: Sequence[Category]
    ) -> np.ndarray:
        """`queries` of outfits that are given as rows of `encode`d items.

        Raises:
            InvalidRequestError: an outfit has no item or more than 12.
        """
        _check_sizes(outfits)
        if len(outfits) != len(targets):
            raise ValueError(f"{len(outfits)} outfits but {len(targets)} target categories")
        found = [np.zeros((0, self.embedding_dim), dtype=np.float32)]
        for start in range(0, len(outfits), _OUTFITS_PER_BATCH):
            stop = start + _OUTFITS_PER_BATCH
            wanted = torch.tensor([category_id(target) for target in targets[start:stop]], device=self._device)
            members, present = self._pad(outfits[start:stop])
            found.append(self._network.queries(items.vectors, members, present, wanted).float().cpu().numpy())
        return np.concatenate(found)

    @torch.inference_mode()
    def embed_encoded(self, items: EncodedItems) -> np.ndarray:
        """`embed_items` of `encode`d items."""
        return self._network.item_embeddings(items.vectors).float().cpu().numpy()

    def _encode_outfits(self, outfits: Sequence[Sequence[Item]]) -> tuple[EncodedItems, list[list[int]]]:
        """The distinct items, and each outfit as rows of them."""
        # Checked before the work of encoding.
        _check_sizes(outfits)
        distinct = list(dict.fromkeys(item for outfit in outfits for item in outfit))
        row_of = {item: row for row, item in enumerate(distinct)}
        return self.encode(distinct), [[row_of[item] for item in outfit] for outfit in outfits]

    def _pad(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        return pad_members(rows, self._device)


def _check_sizes(outfits: Sequence[Sequence[object]]) -> None:
    for outfit in outfits:
        if not 1 <= len(outfit) <= MAX_OUTFIT_ITEMS:
            raise InvalidRequestError(
                f"an outfit of {len(outfit)} items; allowed are 1 to {MAX_OUTFIT_ITEMS}",
                hint="send at least one garment, and leave out the least important ones",
            )


def pad_members(rows: Sequence[Sequence[int]], device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Ragged outfits as `members` int64 `(B, L)` (0 where padded) and `present` bool `(B, L)` (False where padded)."""
    longest = max(map(len, rows))
    members = torch.zeros(len(rows), longest, dtype=torch.long)
    present = torch.zeros(len(rows), longest, dtype=torch.bool)
    for index, row in enumerate(rows):
        members[index, : len(row)] = torch.tensor(row, dtype=torch.long)
        present[index, : len(row)] = True
    return members.to(device), present.to(device)
