"""Settings of import and preparation: the `data:` section of a profile."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from aura.settings import Section
from dataprep.importers import source_names
from dataprep.synthetic.settings import SampleSettings

_NO_EFFECT_ON_CONTENT = {"workers", "max_bad_fraction"}


def _known(source: str) -> str:
    if source not in source_names():
        raise ValueError(f"no such source; known sources: {', '.join(source_names())}")
    return source


SourceName = Annotated[str, AfterValidator(_known)]
"""Name of a raw source: `sample`, or the name of an importer."""


class SplitSettings(Section):
    """Shares of the groups (photos, outfits, conversations) in each split; they sum to 1."""

    train: float = Field(default=0.8, gt=0, lt=1)
    """Share of the groups that models are trained on."""
    val: float = Field(default=0.1, gt=0, lt=1)
    """Share of the groups that choose the best checkpoint."""
    test: float = Field(default=0.1, gt=0, lt=1)
    """Share of the groups that champion and challenger are compared on."""

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError(f"shares must sum to 1, not {self.train + self.val + self.test:g}")
        return self


class ImportSettings(Section):
    """How original layouts become raw sources; a change takes effect with the next `aura data import`."""

    photo_px: int = Field(default=480, ge=64)
    """Long side of a stored photo, in pixels."""
    item_px: int = Field(default=128, ge=32)
    """Side of a square garment image, in pixels."""
    min_area_fraction: float = Field(default=4e-4, ge=0, lt=1)
    """Smallest garment, as a fraction of the photo's area; smaller ones are left out as specks."""
    min_outfit_items: int = Field(default=3, ge=2)
    """Fewest garments in a photo that make an outfit."""
    min_catalog_px: int = Field(default=40, ge=1)
    """Long side in pixels of the smallest cut-out that becomes a catalog item."""
    polyvore_split: Literal["nondisjoint", "disjoint"] = "nondisjoint"
    """Division of Polyvore Outfits that is imported; the splits of `disjoint` share no garment, and are smaller."""
    max_hub_photos: int | None = Field(default=None, ge=1)
    """Most photos per split that are streamed from the hub; None: all."""
    max_bad_fraction: float = Field(default=0.2, ge=0, le=1)
    """An import is refused when a larger fraction of its files is unusable."""
    jpeg_quality: int = Field(default=90, ge=50, le=95)
    """Quality of stored JPEG files, on libjpeg's scale of 1 to 100."""
    workers: int = Field(default=2, ge=1)
    """Number of processes that read photos."""

    def content_settings(self) -> dict[str, Any]:
        """The settings that decide what an imported source holds."""
        return self.model_dump(exclude=_NO_EFFECT_ON_CONTENT)


class DataSettings(Section):
    """Which sources are joined, how they are split, how each is made."""

    sources: list[SourceName] = Field(default=["sample"], min_length=1)
    """Raw sources to join, in this order."""
    split_seed: int = 7
    """Seed of the hash that puts a group into a split."""
    split: SplitSettings = SplitSettings()
    """Shares of photos and outfits."""
    dialogue_split: SplitSettings = SplitSettings(train=0.88, val=0.1, test=0.02)
    """Shares of conversations: there are few, and a metric of 20 of them would say little."""
    sample: SampleSettings = SampleSettings()
    """How the drawn source is made."""
    imports: ImportSettings = ImportSettings()
    """How imported sources are made."""

    @model_validator(mode="after")
    def _sources_once(self) -> Self:
        if len(set(self.sources)) != len(self.sources):
            raise ValueError(f"a source is named twice: {self.sources}")
        return self
