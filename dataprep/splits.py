"""Splits as a source gives them, else by a hash of the group id: a row never changes sides when others come or go."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from aura.prepared_rows import Split
from dataprep.raw_rows import RawSplit
from dataprep.settings import SplitSettings

_NAMES: dict[str, Split] = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip


def splits_named(names: Sequence[str]) -> list[RawSplit | None]:
    """The split that each part of a data set is, by its name; None for all when the names tell nothing apart."""
    named = [
        next((_NAMES[word] for word in re.findall("[a-z]+", name.lower()) if word in _NAMES), None) for name in names
    ]
    held_out = {split for split in named if split in ("val", "test")}
    if "train" not in named or not held_out:
        return [None] * len(names)
    if len(held_out) == 2:
        return [*named]
    # The one part that was held out is what its publishers compare models on.
    return ["test" if split in held_out else "train or val" if split == "train" else None for split in named]


def split_of(group: str, seed: int, shares: SplitSettings, given: RawSplit | None = None) -> Split:
    """Split of a group (a photo, an outfit, a conversation): as its source says, else by its id, the seed and the shares."""
    if given is not None and given != "train or val":
        return given
    digest = hashlib.sha256(f"{seed}/{group}".encode()).digest()
    fraction = int.from_bytes(digest[:8], "big") / 2**64
    if given is not None:
        return "val" if fraction < shares.val / (shares.val + shares.train) else "train"
    if fraction < shares.test:
        return "test"
    return "val" if fraction < shares.test + shares.val else "train"
