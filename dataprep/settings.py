"""Settings of import and preparation: the `data:` section of a profile."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from aura.settings import Section
from dataprep.synthetic.settings import SampleSettings

SourceName = Literal["sample", "ccp", "clothing"]
_NO_EFFECT_ON_CONTENT = {"workers", "max_bad_fraction"}


class SplitSettings(Section):
    """Shares of the groups (photos, outfits, conversations) in each split."""

    train: float = Field(default=0.8, gt=0, lt=1)
    val: float = Field(default=0.1, gt=0, lt=1)
    test: float = Field(default=0.1, gt=0, lt=1)

    @model_validator(mode="after")
    def _sum_to_one(self) -> Self:
        if abs(self.train + self.val + self.test - 1) > 1e-6:
            raise ValueError(f"shares must sum to 1, not {self.train + self.val + self.test:g}")
        return self


class ImportSettings(Section):
    """How original layouts become raw folders; a change takes effect with the next `aura data import`."""

    photo_px: int = Field(default=480, ge=64, description="long side of stored photos")
    item_px: int = Field(default=128, ge=32, description="side of the square garment pictures")
    min_area_fraction: float = Field(default=4e-4, ge=0, lt=1, description="smaller garments are specks and left out")
    min_outfit_items: int = Field(default=3, ge=2)
    min_catalog_px: int = Field(default=40, ge=1, description="a smaller cut-out (long side) is no catalog picture")
    max_bad_fraction: float = Field(
        default=0.2, ge=0, le=1, description="more broken files than this refuse the import"
    )
    jpeg_quality: int = Field(default=90, ge=50, le=95)
    workers: int = Field(default=2, ge=1, description="processes that read photos")

    def content_settings(self) -> dict[str, Any]:
        """Those that decide what an imported folder holds."""
        return self.model_dump(exclude=_NO_EFFECT_ON_CONTENT)


class DataSettings(Section):
    """Which sources are joined, how they are split, how each is made."""

    sources: list[SourceName] = Field(default=["sample"], min_length=1)
    split_seed: int = 7
    split: SplitSettings = SplitSettings()
    dialogue_split: SplitSettings = SplitSettings(train=0.7, val=0.1, test=0.2)
    """Conversations are few, and a figure of 20 of them would say little."""
    sample: SampleSettings = SampleSettings()
    imports: ImportSettings = ImportSettings()

    @model_validator(mode="after")
    def _sources_once(self) -> Self:
        if len(set(self.sources)) != len(self.sources):
            raise ValueError(f"a source is named twice: {self.sources}")
        return self
