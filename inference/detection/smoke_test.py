"""Smoke test of the detector: two drawn photos, and the most certain boxes in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw

from aura.heavy_imports import heavy_imports
from inference.smoke_test import FOLDER

if TYPE_CHECKING:  # the service's API part reads the inputs and never needs torch
    from inference.detection.detector import Detector

LEAST_SCORE = 0.05
"""Smallest score of a recorded box; the service shows no box below it."""
_COMPARED_SCORE = 0.1
"""Score from which a box must be found again. Below it, rounding may decide whether a box is recorded."""
_SCORE_TOLERANCE = 0.03
_LEAST_IOU = 0.9
PHOTOS = ("worn.png", "laid_out.png")


class DetectionSmokeTest:
    """See `inference.smoke_test.SmokeTest`."""

    def write_inputs(self, folder: Path) -> None:
        for name, photo in zip(PHOTOS, drawn_photos(), strict=True):
            photo.save(folder / name)

    def answers(self, artifact: Path, device: str) -> list[list[dict[str, Any]]]:
        with heavy_imports():
            from inference.detection.detector import Detector

        return self.answers_of(Detector.load(artifact, device), artifact)

    def answers_of(self, model: Detector, artifact: Path) -> list[list[dict[str, Any]]]:
        """As torch runs it: whether another engine may run it is asked where one is chosen (`inference.engines.chosen`)."""
        return found_in(model.run_by_torch(), photos_of(artifact))

    def differences(
        self, recorded: Sequence[Sequence[Mapping[str, Any]]], found: Sequence[Sequence[Mapping[str, Any]]]
    ) -> list[str]:
        return [
            difference
            for name, before, now in zip(PHOTOS, recorded, found, strict=True)
            for difference in photo_differences(name, before, now)
        ]


def photo_differences(
    name: str, recorded: Sequence[Mapping[str, Any]], found: Sequence[Mapping[str, Any]]
) -> list[str]:
    """One sentence for each box in one photo that the other list has not; see `inference.smoke_test.SmokeTest`."""
    return [
        *(f"{name}: no longer {_said(box)}" for box in _without_partner(recorded, found)),
        *(f"{name}: now {_said(box)}" for box in _without_partner(found, recorded)),
    ]


def found_in(detector: Detector, photos: Sequence[Image.Image]) -> list[list[dict[str, Any]]]:
    """What a detector finds in each photo, as it is recorded."""
    return [
        [{"category": box.category.value, "score": box.score, "box": list(box.box_xyxy_px)} for box in boxes]
        for boxes in detector.predict(photos, threshold=LEAST_SCORE)
    ]


def _without_partner(
    boxes: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    return [box for box in boxes if box["score"] >= _COMPARED_SCORE and not any(_same(box, other) for other in others)]


def _same(box: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(
        box["category"] == other["category"]
        and abs(box["score"] - other["score"]) <= _SCORE_TOLERANCE
        and _iou(box["box"], other["box"]) >= _LEAST_IOU
    )


def _iou(a: Sequence[float], b: Sequence[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(0.0, width) * max(0.0, height)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / union if union > 0 else 0.0


def _said(box: Mapping[str, Any]) -> str:
    return f"{box['category']} {box['score']:.2f} at {[round(side) for side in box['box']]}"


def drawn_photos() -> list[Image.Image]:
    """The photos of `PHOTOS`, without an artifact."""
    return [_worn(), _laid_out()]


def _worn() -> Image.Image:
    """A person in a dark top, light trousers and brown shoes."""
    photo = Image.new("RGB", (240, 360), "#dedad2")
    pen = ImageDraw.Draw(photo)
    pen.ellipse((102, 16, 138, 60), fill="#c99a7a")
    pen.polygon(
        [(80, 62), (160, 62), (176, 150), (158, 154), (154, 172), (86, 172), (82, 154), (64, 150)], fill="#22324f"
    )
    pen.polygon([(84, 172), (156, 172), (164, 320), (126, 320), (120, 200), (114, 320), (76, 320)], fill="#c9b48f")
    pen.ellipse((70, 318, 116, 338), fill="#6b3f22")
    pen.ellipse((124, 318, 170, 338), fill="#6b3f22")
    return photo


def _laid_out() -> Image.Image:
    """A red dress and a black bag on a white ground."""
    photo = Image.new("RGB", (320, 320), "#f7f7f5")
    pen = ImageDraw.Draw(photo)
    pen.polygon([(70, 40), (150, 40), (146, 130), (190, 280), (30, 280), (74, 130)], fill="#a8202b")
    pen.arc((220, 120, 280, 200), 180, 360, fill="#1c1c1c", width=5)
    pen.rectangle((210, 160, 290, 230), fill="#1c1c1c")
    return photo


SMOKE_TEST = DetectionSmokeTest()


def photos_of(artifact: Path) -> list[Image.Image]:
    """Photos of an artifact's smoke test."""
    photos = []
    for name in PHOTOS:
        with Image.open(artifact / FOLDER / name) as photo:
            photos.append(photo.convert("RGB"))
    return photos
