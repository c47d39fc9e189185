"""Splits by a hash of the group id: a row never changes sides when others come or go, and nothing leaks across."""

from __future__ import annotations

import hashlib

from aura.prepared_rows import Split
from dataprep.settings import SplitSettings


def split_of(group: str, seed: int, shares: SplitSettings) -> Split:
    """Split of a group (a photo, an outfit, a conversation), decided by its id, the seed and the shares alone."""
    digest = hashlib.sha256(f"{seed}/{group}".encode()).digest()
    fraction = int.from_bytes(digest[:8], "big") / 2**64
    if fraction < shares.test:
        return "test"
    return "val" if fraction < shares.test + shares.val else "train"
