"""A prepared detection set of plain shapes, and settings small enough for seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aura.taxonomy import CATEGORIES
from aura.tracking import LocalTracker
from inference.references import LITE0_REFERENCE
from training.context import TrainContext
from training.detection.settings import DetectionSettings

_COLOURS = {0: (200, 40, 40), 4: (30, 30, 30), 5: (40, 80, 200)}
_COUNTS = {"train": 16, "val": 6, "test": 6}


def _write_split(folder: Path, split: str, count: int, first: int, rng: np.random.Generator) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number in range(first, first + count):
        width, height = (80, 120) if number % 3 else (120, 100)
        pixels = np.full((height, width, 3), 225, dtype=np.uint8)
        for place, label in enumerate(_COLOURS):
            w, h = int(rng.integers(24, 40)), int(rng.integers(18, 32))
            x, y = int(rng.integers(0, width - w)), place * height // 3 + int(rng.integers(0, max(1, height // 3 - h)))
            h = min(h, height - y)
            pixels[y : y + h, x : x + w] = _COLOURS[label]
            annotations.append(
                {"id": len(annotations), "image_id": number, "category_id": label, "bbox": [x, y, w, h],
                 "area": w * h, "iscrowd": 0}
            )  # fmt: skip
        Image.fromarray(pixels).save(folder / "images" / f"{number}.jpg", quality=95)
        images.append(
            {"id": number, "file_name": f"{number}.jpg", "width": width, "height": height, "group": str(number)}
        )
    categories = [{"id": index, "name": category.value} for index, category in enumerate(CATEGORIES)]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / f"{split}.json").write_text(json.dumps(content))


@pytest.fixture(scope="session")
def shapes_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DATA with `detection/`: 16, 6 and 6 pictures with a red top, black shoes and a blue bag each."""
    data = tmp_path_factory.mktemp("data")
    (data / "detection" / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    first = 1
    for split, count in _COUNTS.items():
        _write_split(data / "detection", split, count, first, rng)
        first += count
    return data


@pytest.fixture
def quick() -> DetectionSettings:
    """A tiny network for two epochs of four steps."""
    return DetectionSettings.model_validate(
        {
            "tiny": {"hidden_size": 32, "queries": 8, "decoder_layers": 2, "out_stride": 16, "backbone_sizes": [8, 16, 24, 32]},
            "image_height": 96, "image_width": 64, "max_epochs": 2, "validate_every_epochs": 1, "batch_size": 4,
            "accelerator": "cpu", "learning_rate": 2e-3,
        }
    )  # fmt: skip


@pytest.fixture
def context(tmp_path: Path, shapes_dir: Path) -> TrainContext:
    return make_context(tmp_path / "run", shapes_dir)


@pytest.fixture
def quick_lite0(quick: DetectionSettings) -> DetectionSettings:
    """`quick` with a pretrained backbone."""
    network = {"backbone": LITE0_REFERENCE, "hidden_size": 32, "queries": 8, "decoder_layers": 2, "out_stride": 16}
    return DetectionSettings.model_validate(
        quick.model_dump(exclude={"tiny"}) | {"tiny": network, "backbone_rate": 0.1, "frozen_stages": 4}
    )


def make_context(
    folder: Path, data_dir: Path, base_dir: Path | None = None, seed: int = 5, candidate_id: str = ""
) -> TrainContext:
    """Context with fresh folders below `folder`; what lies in `checkpoints/` stays."""
    for name in ("out", "checkpoints", "plots"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return TrainContext(
        data_dir=data_dir, out_dir=folder / "out", checkpoint_dir=folder / "checkpoints",
        plots_dir=folder / "plots", base_dir=base_dir, tracker=LocalTracker(folder / "checkpoints"), seed=seed,
        candidate_id=candidate_id,
    )  # fmt: skip
