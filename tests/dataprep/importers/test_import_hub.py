"""Object detection sets as the hub holds them: Parquet files with pictures inside, loaded by `datasets` itself from a folder."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import pytest
from PIL import Image
from typer.testing import CliRunner

from aura.errors import DataError, HubUnavailableError, SettingsError
from aura.paths import home, repo_root
from dataprep.importers import Original
from dataprep.importers.hub import corners_of, import_hub
from dataprep.raw_source import read_manifest
from dataprep.settings import DataSettings
from flows.cli.app import app
from flows.processes import free_port
from tests.dataprep.coco_originals import FASHIONPEDIA, HEIGHT_PX, WIDTH_PX

SETTINGS = DataSettings.model_validate({"imports": {"workers": 1}})
DRESS, SLEEVE, SHOE = (FASHIONPEDIA.index(name) for name in ("dress", "sleeve", "shoe"))
BOXES = ([25, 20, 65, 80], [25, 20, 35, 40], [30, 105, 42, 115], [50, 105, 62, 115])
"""Two corners each, as in `detection-datasets/fashionpedia`."""


def picture() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (WIDTH_PX, HEIGHT_PX), (184, 31, 47)).save(file, "JPEG")
    return file.getvalue()


def write_set(
    folder: Path,
    sizes: dict[str, int],
    *,
    names: tuple[str, ...] = FASHIONPEDIA,
    structs: bool = False,
    xywh: bool = False,
) -> Path:
    """A folder as the hub shows it: `data/<split>-00000-of-00001.parquet`, in the features of Fashionpedia's copy there."""
    inner = {
        "bbox_id": datasets.Value("int64"), "category": datasets.ClassLabel(names=list(names)),
        "bbox": datasets.List(datasets.Value("float64"), length=4), "area": datasets.Value("int64"),
    }  # fmt: skip
    features = datasets.Features(
        {
            "image_id": datasets.Value("int64"), "image": datasets.Image(), "width": datasets.Value("int64"),
            "height": datasets.Value("int64"), "objects": datasets.List(inner) if structs else datasets.Sequence(inner),
        }
    )  # fmt: skip
    boxes = [[a, b, c - a, d - b] if xywh else [a, b, c, d] for a, b, c, d in BOXES]
    (folder / "data").mkdir(parents=True)
    for split, size in sizes.items():
        columns = {
            "bbox_id": [1, 2, 3, 4], "category": [DRESS % len(names), SLEEVE % len(names), SHOE % len(names)] * 1
            + [SHOE % len(names)], "bbox": boxes, "area": [1422] * 4,
        }  # fmt: skip
        objects: Any = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        rows = [
            {
                "image_id": 23 + number, "image": {"bytes": picture(), "path": None}, "width": WIDTH_PX,
                "height": HEIGHT_PX, "objects": objects if structs else columns,
            }
            for number in range(size)
        ]  # fmt: skip
        datasets.Dataset.from_list(rows, features=features).to_parquet(
            folder / "data" / f"{split}-00000-of-00001.parquet"
        )
    return folder


def table(raw: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((raw / "detection" / "annotations.json").read_text())
    return found


@pytest.mark.parametrize("structs", [False, True])
@pytest.mark.parametrize("xywh", [False, True])
def test_a_set_of_the_hub_is_streamed(structs: bool, xywh: bool, tmp_path: Path) -> None:
    folder = write_set(tmp_path / "fashionpedia", {"train": 3, "val": 2}, structs=structs, xywh=xywh)
    done = CliRunner().invoke(app, ["data", "import", f"hf:{folder}"])
    assert done.exit_code == 0, done.output
    raw = home() / "raw" / "hf"
    names = {row["id"]: row["name"] for row in table(raw)["categories"]}
    first = [row for row in table(raw)["annotations"] if row["image_id"] == 1]
    assert [(names[row["category_id"]], row["bbox"]) for row in first] == [
        ("all-body", [25, 20, 40, 60]),
        ("shoes", [30, 105, 32, 10]),
    ]
    assert [row["split"] for row in table(raw)["images"]] == ["train or val"] * 3 + ["test"] * 2
    assert {path.name for path in raw.iterdir()} == {"detection", "source.json"}
    assert read_manifest(raw).skipped == {"annotation of a part, or of no garment": 5}


def test_a_limit_of_photos_is_kept_per_split(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"train": 3, "test": 3})
    settings = DataSettings.model_validate({"imports": {"workers": 1, "max_hub_photos": 2}})
    report = import_hub(Original(hub_name=str(folder)), tmp_path / "raw" / "hf", settings)
    assert report.counts["images"] == 4


def test_unknown_categories_are_refused_with_a_proposal(tmp_path: Path) -> None:
    folder = write_set(tmp_path / "set", {"train": 1}, names=("hat", "sarong", "teapot"))
    with pytest.raises(DataError, match="2 of the 3 categories of set are unknown: 'sarong', 'teapot'"):
        import_hub(Original(hub_name=str(folder)), tmp_path / "raw" / "hf", SETTINGS)
    assert not (tmp_path / "raw").exists()
    (proposal,) = (home() / "category-maps").iterdir()
    assert proposal.read_text(encoding="utf-8").splitlines()[2:] == ["hat: hats", "sarong: decide", "teapot: decide"]


def test_another_layout_is_refused(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    datasets.Dataset.from_dict({"text": ["a"]}).to_parquet(tmp_path / "set" / "train.parquet")
    with pytest.raises(DataError, match=r"is no object detection set: its columns are text"):
        import_hub(Original(hub_name=str(tmp_path / "set")), tmp_path / "raw" / "hf", SETTINGS)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is no data set that can be read"):
        import_hub(Original(hub_name=str(tmp_path / "empty")), tmp_path / "raw" / "hf", SETTINGS)


def test_without_the_hub_it_is_refused_in_a_sentence(tmp_path: Path) -> None:
    # Tests run with HF_HUB_OFFLINE.
    with pytest.raises(HubUnavailableError, match="cannot be streamed: HF_HUB_OFFLINE forbids the hub"):
        import_hub(Original(hub_name="detection-datasets/fashionpedia"), tmp_path / "raw" / "hf", SETTINGS)


def test_without_a_network_it_is_refused_in_a_sentence() -> None:
    # The hub is where nothing listens; both variables are read when the library is imported, so in a process of its own.
    environment = os.environ | {"HF_HUB_OFFLINE": "0", "HF_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli.app", "data", "import", "hf:detection-datasets/fashionpedia"],
        env=environment, cwd=repo_root(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode != 0
    assert "detection-datasets/fashionpedia cannot be streamed: the hub does not answer" in output
    assert "Traceback" not in output


def test_a_name_is_needed(tmp_path: Path) -> None:
    for original in (Original(), Original(hub_name="a/b", paths=(tmp_path,))):
        with pytest.raises(SettingsError, match="given by its name alone"):
            import_hub(original, tmp_path / "raw" / "hf", SETTINGS)


@pytest.mark.parametrize(
    ("box", "found"),
    [([10, 10, 20, 20], None), ([50, 10, 60, 20], "xyxy"), ([10, 50, 20, 20], "xywh"), ([200, 1, 2, 3], None)],
)
def test_how_boxes_are_written_is_seen_or_refused(box: list[float], found: str | None) -> None:
    rows = [{"width": 90, "height": 120, "objects": {"bbox": [box], "category": [0]}}]
    if found is None:
        with pytest.raises(DataError, match="do not tell whether they are corners"):
            corners_of(rows, "a set")
    else:
        assert corners_of(rows, "a set") == found
