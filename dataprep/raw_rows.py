"""Rows of raw sources that say more than prepared rows: which split the source itself puts them in."""

from __future__ import annotations

from typing import Literal

from aura.prepared_rows import ImageRow, OutfitRow

RawSplit = Literal["train", "val", "test", "train or val"]
"""A split that a source gives. "train or val": the source holds a test out and names no validation split, so that the hash
decides between the other two."""


class RawImageRow(ImageRow):
    """A photo of a raw source."""

    split: RawSplit | None = None
    """Split that the source gives; without one, the hash of the group decides."""


class RawOutfitRow(OutfitRow):
    """An outfit of a raw source."""

    split: RawSplit | None = None
    """As `RawImageRow.split`."""
