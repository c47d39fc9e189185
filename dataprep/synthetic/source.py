"""Write the drawn sample data as a raw source (layout: `dataprep.raw_source`): detection, outfits, catalog, manifest."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from aura.artifact import recover_dir, replace_dir
from aura.errors import AuraError
from aura.fingerprints import code_fingerprint
from aura.prepared_rows import ItemRow, OutfitRow, write_rows
from aura.taxonomy import CATEGORIES, category_id
from dataprep.coco import write_coco
from dataprep.importers import SYNTHETIC
from dataprep.raw_source import Manifest, locked, read_manifest
from dataprep.synthetic.catalog import catalog_row
from dataprep.synthetic.outfits import Outfit, build_outfits
from dataprep.synthetic.people import person_scene
from dataprep.synthetic.rail import rail_scene
from dataprep.synthetic.scenes import Scene, flat_lay_scene, product_scene, product_shot
from dataprep.synthetic.settings import SampleSettings
from dataprep.synthetic.shop import Product, build_shop

_PARTS = ("detection", "outfits", "catalog")
_KIND_SHARE = {"figure": 0.45, "flat-lay": 0.08, "rail": 0.02, "product": 0.45}
_PRODUCT_FILL = 0.84
_LOCK_WAIT_SECONDS = 120.0
"""Seconds to wait for another process that holds the folder: it may be drawing the same data."""


def write_sample(raw_dir: Path, settings: SampleSettings) -> Manifest:
    """Draw the sample data into `raw_dir` (the folder of this source) and return its manifest.

    A folder that already holds exactly this data, drawn by this code, is left as it is; any other is replaced whole.

    Raises:
        BusyError: another process writes or reads the folder.
    """
    # New drawing code means new data.
    wanted, drawn_by = settings.model_dump(), code_fingerprint(("dataprep.synthetic.source",))
    with locked(raw_dir, wait_seconds=_LOCK_WAIT_SECONDS):
        recover_dir(raw_dir)
        present = _manifest_of(raw_dir)
        if present is not None and (present.settings, present.drawn_by) == (wanted, drawn_by):
            return present
        building = raw_dir.with_name(f".{raw_dir.name}.drawing")
        # Left by a killed run.
        shutil.rmtree(building, ignore_errors=True)
        manifest = Manifest(
            name=SYNTHETIC, licence="drawn by this project; same licence as its code", seed=settings.seed,
            counts=_draw(building, settings), skipped={}, settings=wanted, drawn_by=drawn_by,
        )  # fmt: skip
        manifest.write(building)
        replace_dir(building, raw_dir)
        return manifest


def _manifest_of(raw_dir: Path) -> Manifest | None:
    """Manifest of the folder; None when it is missing or broken, and the data is to be drawn again."""
    try:
        return read_manifest(raw_dir)
    except AuraError:
        return None


def _draw(folder: Path, settings: SampleSettings) -> dict[str, int]:
    """Draw everything; returns how many of each."""
    for part in _PARTS:
        (folder / part / "images").mkdir(parents=True)
    shop = build_shop(settings.products, settings.seed)
    outfits = build_outfits(shop, settings.outfits, settings.seed, settings.outfit_noise)
    catalog = _catalog_products(shop, settings)
    counts = _write_detection(folder / "detection", shop, outfits, settings)
    _write_shop(folder, shop, outfits, catalog, settings)
    return {**counts, "items": len(shop), "outfits": len(outfits), "catalog": len(catalog)}


def _catalog_products(shop: Sequence[Product], settings: SampleSettings) -> list[Product]:
    """Every n-th product, so that all categories are kept in proportion."""
    count = min(settings.catalog_items, len(shop))
    return [shop[i * len(shop) // count] for i in range(count)]


def draw_scenes(shop: Sequence[Product], outfits: Sequence[Outfit], settings: SampleSettings) -> Iterator[Scene]:
    """The pictures of the detection set; each depends on the seed and its own number only."""
    kinds = list(_KIND_SHARE)
    size, least = settings.scene_size_px, settings.min_box_px
    for number in range(settings.scenes):
        rng = random.Random(f"{settings.seed}/scene/{number}")
        kind = rng.choices(kinds, list(_KIND_SHARE.values()))[0]
        group = f"scene-{number:05d}"
        if kind == "figure":
            yield person_scene(outfits, size, least, rng)
        elif kind == "flat-lay":
            yield flat_lay_scene(shop, size, least, group, rng)
        elif kind == "rail":
            yield rail_scene(shop, size, least, group, rng)
        else:
            category = rng.choice(CATEGORIES)
            yield product_scene(rng.choice([item for item in shop if item.category is category]), size, rng)


def _write_detection(
    folder: Path, shop: Sequence[Product], outfits: Sequence[Outfit], settings: SampleSettings
) -> dict[str, int]:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    kinds: Counter[str] = Counter()
    for image_id, scene in enumerate(draw_scenes(shop, outfits, settings), start=1):
        file_name = f"{image_id:06d}.jpg"
        _save(scene.image, folder / "images" / file_name, settings)
        width, height = scene.image.size
        images.append(
            {
                "id": image_id, "file_name": file_name, "width": width, "height": height, "group": scene.group,
                "photo_type": scene.kind,
            }
        )  # fmt: skip
        kinds[scene.kind] += 1
        for box in scene.boxes:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": category_id(box.category),
                    "bbox": list(box.xywh_px),
                    "area": box.area_px,
                    "iscrowd": 0,
                }
            )
    write_coco(folder / "annotations.json", images, annotations)
    return {
        "images": len(images),
        "boxes": len(annotations),
        **{f"images_{kind}": n for kind, n in sorted(kinds.items())},
    }


def _write_shop(
    folder: Path,
    shop: Sequence[Product],
    outfits: Sequence[Outfit],
    catalog: Sequence[Product],
    settings: SampleSettings,
) -> None:
    in_catalog = {product.item_id for product in catalog}
    for product in shop:
        rng = random.Random(f"{settings.seed}/shot/{product.item_id}")
        image, _ = product_shot(product, settings.product_size_px, _PRODUCT_FILL, rng)
        path = folder / "outfits" / "images" / f"{product.item_id}.jpg"
        _save(image, path, settings)
        if product.item_id in in_catalog:
            shutil.copyfile(path, folder / "catalog" / "images" / path.name)
    items = (
        ItemRow(
            item_id=product.item_id, category=product.category, title=product.title, attributes=product.attributes,
            image=f"images/{product.item_id}.jpg",
        )
        for product in shop
    )  # fmt: skip
    rows = (
        OutfitRow(
            outfit_id=outfit.outfit_id, group=f"outfit-{outfit.outfit_id}",
            items=tuple(product.item_id for product in outfit.products),
        )
        for outfit in outfits
    )  # fmt: skip
    write_rows(folder / "outfits" / "items.jsonl", items)
    write_rows(folder / "outfits" / "outfits.jsonl", rows)
    write_rows(folder / "catalog" / "catalog.jsonl", (catalog_row(product, settings.seed) for product in catalog))


def _save(image: Image.Image, path: Path, settings: SampleSettings) -> None:
    image.save(path, quality=settings.jpeg_quality)
