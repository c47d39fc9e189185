"""A photo to try the services with: one of the test split, which no model was trained on, always at the same path."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from aura.artifact import read_json

_NAME = "example"


def keep_example(data: Path, folder: Path) -> Path:
    """Copy the test photo with the most garments to `folder`; returns its path there.

    Args:
        data: prepared data.
        folder: where it is kept as `example` with the end of its name.

    Raises:
        ArtifactError: there is no prepared data.
    """
    table: dict[str, Any] = read_json(data / "detection" / "test.json", "the test photos")
    garments = Counter(box["image_id"] for box in table["annotations"])
    photo = max(table["images"], key=lambda image: (garments[image["id"]], -image["id"]))
    source = data / "detection" / "images" / photo["file_name"]
    target = folder / f"{_NAME}{source.suffix.lower()}"
    folder.mkdir(parents=True, exist_ok=True)
    for earlier in folder.glob(f"{_NAME}.*"):
        earlier.unlink()
    temporary = target.with_name(f".{target.name}")
    shutil.copyfile(source, temporary)
    temporary.replace(target)
    return target
