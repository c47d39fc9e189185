"""Tables of a source that is made of photos: boxes, the garments cut out of them, outfits of one photo, catalog items."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aura.prepared_rows import CatalogRow, ItemRow, write_rows
from aura.taxonomy import CATEGORIES, category_id
from dataprep.coco import write_coco
from dataprep.garments import Garment, GarmentBox, PhotoResult, with_article
from dataprep.raw_rows import RawOutfitRow, RawSplit
from dataprep.settings import ImportSettings
from inference.outfits.items import MAX_OUTFIT_ITEMS


@dataclass
class PhotoTables:
    """Rows collected from the photos of a source, in the photos' order.

    Attributes:
        seen: where the garments were photographed, for descriptions: "seen on the street".
    """

    source: str
    photo_type: str
    seen: str
    settings: ImportSettings
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    items: list[ItemRow] = field(default_factory=list)
    outfits: list[RawOutfitRow] = field(default_factory=list)
    catalog: list[CatalogRow] = field(default_factory=list)

    def make_folders(self, folder: Path) -> None:
        """The folders that photos and cut-outs are written to."""
        for name in ("detection", "outfits", "catalog"):
            (folder / name / "images").mkdir(parents=True)

    def add(self, photo: PhotoResult, group: str, split: RawSplit | None = None) -> None:
        """Add a photo. `split` is the one that the source itself puts it in."""
        image: dict[str, Any] = {
            "id": len(self.images) + 1,
            "file_name": f"{photo.name}.jpg",
            "width": photo.width,
            "height": photo.height,
            "group": group,
            "photo_type": self.photo_type,
        }
        self.images.append(image | ({"split": split} if split else {}))
        boxes: list[GarmentBox] = [*photo.garments, *photo.uncut]
        for garment in boxes:
            self.annotations.append(
                {
                    "id": len(self.annotations) + 1, "image_id": image["id"], "category_id": category_id(garment.category),
                    "bbox": list(garment.box_xywh_px), "area": garment.area_px, "iscrowd": 0,
                }
            )  # fmt: skip
        for garment in photo.garments:
            self._add_item(garment)
        # With a garment missing it would be no outfit.
        if photo.one_person and not photo.uncut and len(photo.garments) >= self.settings.min_outfit_items:
            # The model takes a limited number; the largest garments are what makes an outfit.
            worn = sorted(photo.garments, key=lambda garment: -garment.area_px)[:MAX_OUTFIT_ITEMS]
            self.outfits.append(
                RawOutfitRow(
                    outfit_id=f"{self.source}-{photo.name}", group=group, split=split,
                    items=tuple(garment.item_id for garment in worn),
                )
            )  # fmt: skip

    def write(self, folder: Path) -> None:
        """Write the tables. Without outfits there are no garments of them, and with boxes alone no catalog: no empty tables."""
        write_coco(folder / "detection" / "annotations.json", self.images, self.annotations)
        if self.outfits:
            write_rows(folder / "outfits" / "items.jsonl", self.items)
            write_rows(folder / "outfits" / "outfits.jsonl", self.outfits)
        else:
            shutil.rmtree(folder / "outfits")
        if self.catalog:
            write_rows(folder / "catalog" / "catalog.jsonl", self.catalog)
        else:
            shutil.rmtree(folder / "catalog")

    def counts(self) -> dict[str, int]:
        return {
            "images": len(self.images), "boxes": len(self.annotations), "items": len(self.items) if self.outfits else 0,
            "outfits": len(self.outfits), "catalog": len(self.catalog),
        }  # fmt: skip

    def categories(self) -> dict[str, int]:
        """Garments per category: boxes, each of which is one."""
        found = Counter(row["category_id"] for row in self.annotations)
        return {category.value: found[category_id(category)] for category in CATEGORIES}

    def _add_item(self, garment: Garment) -> None:
        item = ItemRow(
            item_id=garment.item_id, category=garment.category, title=garment.title, attributes=garment.attributes,
            image=f"images/{garment.item_id}.jpg",
        )  # fmt: skip
        self.items.append(item)
        if garment.crop_px >= self.settings.min_catalog_px:
            # Not the outfit: the catalog must not tell which items were worn together.
            what = with_article(garment.label, garment.colours.text)
            self.catalog.append(CatalogRow(**item.model_dump(), description=f"{what}, {self.seen}."))
