"""Smoke test of the outfit model: the scores of three outfits, and how well two pairs of shoes complete them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from aura.artifact import read_json, write_json
from aura.heavy_imports import heavy_imports
from aura.taxonomy import Category
from inference.smoke_test import FOLDER

if TYPE_CHECKING:  # the service's API part reads the inputs and never needs torch
    from inference.outfits.items import Item
    from inference.outfits.model import OutfitModel

_TOLERANCE = 0.01
"""Of a score in 0..1 and of a cosine similarity."""
_GARMENTS: Mapping[str, tuple[str, str, str]] = {
    "shirt": ("tops", "White cotton shirt", "#f2f2ee"),
    "trousers": ("bottoms", "Navy tailored trousers", "#1f2a44"),
    "jacket": ("outerwear", "Grey wool blazer", "#777a80"),
    "dress": ("all-body", "", "#a8202b"),
    "bag": ("bags", "Black leather bag", "#1c1c1c"),
    "loafers": ("shoes", "Brown leather loafers", "#6b3f22"),
    "sandals": ("shoes", "", "#8fd13f"),
}
"""Name to category, title (empty: unknown) and colour of the picture."""
_OUTFITS = (("shirt", "trousers", "jacket"), ("dress", "bag"), ("shirt", "sandals", "loafers"))
_SHOES = ("loafers", "sandals")


class OutfitSmokeTest:
    """See `inference.smoke_test.SmokeTest`."""

    def write_inputs(self, folder: Path) -> None:
        for name, (_, _, colour) in _GARMENTS.items():
            picture = Image.new("RGB", (96, 96), "#ffffff")
            ImageDraw.Draw(picture).rounded_rectangle((18, 10, 78, 86), radius=12, fill=colour)
            picture.save(folder / f"{name}.png")
        described = {name: {"category": category, "title": title} for name, (category, title, _) in _GARMENTS.items()}
        write_json(folder / "inputs.json", {"garments": described, "outfits": _OUTFITS, "shoes": _SHOES})

    def answers(self, artifact: Path, device: str) -> dict[str, list[Any]]:
        with heavy_imports():
            from inference.outfits.model import OutfitModel

        return self.answers_of(OutfitModel.load(artifact, device), artifact)

    def answers_of(self, model: OutfitModel, artifact: Path) -> dict[str, list[Any]]:
        inputs = read_inputs(artifact)
        garments = {name: _item(artifact, name, described) for name, described in inputs["garments"].items()}
        outfits = [[garments[name] for name in outfit] for outfit in inputs["outfits"]]
        shoes = model.embed_items([garments[name] for name in inputs["shoes"]])
        queries = model.queries(outfits, [Category.SHOES] * len(outfits))
        return {"scores": model.score(outfits), "similarities": (queries @ shoes.T).tolist()}

    def differences(self, recorded: Mapping[str, list[Any]], found: Mapping[str, list[Any]]) -> list[str]:
        sentences = []
        for index, (before, now) in enumerate(zip(recorded["scores"], found["scores"], strict=True)):
            if not abs(before - now) <= _TOLERANCE:
                sentences.append(f"outfit {index} scores {now:.3f} instead of {before:.3f}")
        # The service returns scores only.
        for index, (before, now) in enumerate(
            zip(recorded["similarities"], found.get("similarities", recorded["similarities"]), strict=True)
        ):
            if not all(abs(a - b) <= _TOLERANCE for a, b in zip(before, now, strict=True)):
                sentences.append(f"shoes for outfit {index} have the similarities {now} instead of {before}")
        return sentences


def read_inputs(artifact: Path) -> dict[str, Any]:
    """`garments`: name to category and title; `outfits`: lists of names; `shoes`: names."""
    inputs: dict[str, Any] = read_json(artifact / FOLDER / "inputs.json", "the inputs of the smoke test")
    return inputs


def picture_path(artifact: Path, garment: str) -> Path:
    return artifact / FOLDER / f"{garment}.png"


def _item(artifact: Path, name: str, described: Mapping[str, str]) -> Item:
    from inference.outfits.items import Item

    with Image.open(picture_path(artifact, name)) as picture:
        image = picture.convert("RGB")
    return Item(
        item_id=name, category=Category(described["category"]), title=described["title"], attributes={}, image=image
    )


SMOKE_TEST = OutfitSmokeTest()
