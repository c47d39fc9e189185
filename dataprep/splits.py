"""Splits as a source gives them, else by a hash of the group id: a row never changes sides when others come or go."""

from __future__ import annotations

import hashlib

from aura.prepared_rows import Split
from dataprep.raw_rows import RawSplit
from dataprep.settings import SplitSettings


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
