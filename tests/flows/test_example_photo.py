"""The photo that a night leaves to try the services with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aura.errors import ArtifactError
from flows.example_photo import keep_example


def prepared(root: Path, suffix: str) -> Path:
    images = root / "detection" / "images"
    images.mkdir(parents=True, exist_ok=True)
    rows = [{"id": number, "file_name": f"{number}{suffix}"} for number in (4, 5, 6)]
    for row in rows:
        (images / str(row["file_name"])).write_bytes(b"photo %d" % row["id"])
    boxes = [{"image_id": image} for image in (4, 5, 5, 6, 6)]
    (root / "detection" / "test.json").write_text(json.dumps({"images": rows, "annotations": boxes}))
    return root


def test_it_is_the_test_photo_with_the_most_garments(tmp_path: Path) -> None:
    kept = keep_example(prepared(tmp_path / "data", ".PNG"), tmp_path / "reports")
    assert kept == tmp_path / "reports" / "example.png"
    assert kept.read_bytes() == b"photo 5"
    # The next night's data may hold other photos: there is one example.
    keep_example(prepared(tmp_path / "data", ".jpg"), tmp_path / "reports")
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["example.jpg"]


def test_without_data_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="the test photos is missing"):
        keep_example(tmp_path / "data", tmp_path / "reports")
