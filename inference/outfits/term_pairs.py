"""Which words, and which categories, go together: pointwise mutual information of pairs (Church and Hanks, CL 16(1), 1990).

Shapes: N items, B outfits, L positions (padded), V terms.

A term is a word of a title or a category. How much two terms attract each other is counted in outfits that were worn
(`training.outfits.term_counts`); nothing is trained. An outfit's score is the mean over its pairs of garments, and of two
garments the mean over their terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from aura.artifact import read_json, write_json
from aura.errors import ArtifactError
from aura.taxonomy import CATEGORIES, category_id
from inference.outfits.items import Item, title_words

_AFFINITIES, _VOCABULARY = "term_pairs.safetensors", "vocabulary.json"
_RETRAIN = "train the outfit model again with this code, or roll back to the code that made the artifact"


@dataclass(frozen=True, eq=False)
class TermPairs:
    """Affinities of pairs of terms.

    Attributes:
        vocabulary: words that are known, in the order of `words`.
        words: float32 `(V, V)`, symmetric: smoothed PMI of two words, 0 when nothing is known of them.
        categories: float32 `(len(CATEGORIES), len(CATEGORIES))`, symmetric: likewise of two categories.
    """

    vocabulary: tuple[str, ...]
    words: Tensor
    categories: Tensor

    def shares(self, items: Sequence[Item]) -> Tensor:
        """float32 `(N, V)`: 1 divided by the number of an item's known words where it has the word, else 0."""
        column = self._column
        shares = torch.zeros(len(items), len(self.vocabulary))
        for row, item in enumerate(items):
            if known := [column[word] for word in sorted(title_words(item)) if word in column]:
                shares[row, known] = 1 / len(known)
        return shares

    def strongest(self, first: Item, second: Item) -> tuple[str, str, float] | None:
        """A word of each title that attract each other most, and their smoothed PMI; None when no two words are known."""
        column = self._column
        words, others = ([word for word in sorted(title_words(item)) if word in column] for item in (first, second))
        if not words or not others:
            return None
        table = self.words[[column[word] for word in words]][:, [column[word] for word in others]]
        row, place = divmod(int(table.argmax()), len(others))
        return words[row], others[place], float(table[row, place])

    @cached_property
    def _column(self) -> dict[str, int]:
        return {word: index for index, word in enumerate(self.vocabulary)}

    def to(self, device: torch.device | str) -> TermPairs:
        return TermPairs(self.vocabulary, self.words.to(device), self.categories.to(device))

    def save(self, folder: Path) -> None:
        """Write the two files into an existing folder."""
        save_file({"words": self.words.contiguous(), "categories": self.categories.contiguous()}, folder / _AFFINITIES)
        write_json(folder / _VOCABULARY, list(self.vocabulary))

    @staticmethod
    def load(folder: Path) -> TermPairs:
        """The affinities of an artifact.

        Raises:
            ArtifactError: a file is missing, broken or does not fit the other.
        """
        vocabulary = read_json(folder / _VOCABULARY, "the outfit model's vocabulary")
        path = folder / _AFFINITIES
        if not path.is_file():
            raise ArtifactError(
                f"the outfit model's term pairs are missing: {path}", hint="restore the file, or roll back"
            )
        try:
            tensors = load_file(path)
            words, categories = tensors["words"], tensors["categories"]
        except (SafetensorError, KeyError, OSError) as error:
            raise ArtifactError(
                f"the outfit model's term pairs do not load: {path} ({error})", hint=_RETRAIN
            ) from error
        count = len(vocabulary) if isinstance(vocabulary, list) else -1
        if words.shape != (count, count) or categories.shape != (len(CATEGORIES), len(CATEGORIES)):
            raise ArtifactError(f"the outfit model's term pairs do not fit its vocabulary: {path}", hint=_RETRAIN)
        return TermPairs(tuple(map(str, vocabulary)), words, categories)


def category_shares(items: Sequence[Item]) -> Tensor:
    """float32 `(N, len(CATEGORIES))`, one-hot: a garment has one category."""
    return functional.one_hot(
        torch.tensor([category_id(item.category) for item in items], dtype=torch.long), len(CATEGORIES)
    ).float()


def pair_means(affinity_VV: Tensor, shares_NV: Tensor, members_BL: Tensor, present_BL: Tensor) -> Tensor:
    """Mean affinity `(B,)` over the pairs of garments of each outfit; 0 for a single garment.

    Args:
        shares_NV: what each item has of each term; its affinity to another is `shares @ affinity @ other_shares`.
        members_BL: int64 rows of `shares_NV`; any valid row where padded.
        present_BL: bool, True for a garment, False for padding.
    """
    own_BLV = shares_NV[members_BL] * present_BL[:, :, None]
    # The sum over all ordered pairs is that of the whole outfit with itself, less each garment with itself.
    whole_BV = own_BLV.sum(dim=1)
    with_itself_B = ((own_BLV @ affinity_VV) * own_BLV).sum(dim=(1, 2))
    pairs_B = ((whole_BV @ affinity_VV) * whole_BV).sum(dim=1) - with_itself_B
    count_B = present_BL.sum(dim=1)
    return pairs_B / (count_B * (count_B - 1)).clamp(min=1)
