"""A service keeps a catalog of its own while a night removes and rewrites the pipeline's."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from aura.artifact import content_hash
from aura.errors import IndexNotReadyError
from aura.serving import ServingSettings
from aura.tracking import TrackingSettings
from bentos.serving.catalog_copy import catalog_copy
from bentos.serving.places import Places
from inference.retrieval.catalog import open_picture, read_catalog


def write_catalog(folder: Path, colour: str = "navy") -> Path:
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8), colour).save(folder / "images" / "i1.png")
    item = {
        "item_id": "i1", "category": "tops", "title": "Shirt", "description": "", "attributes": {},
        "image": "images/i1.png",
    }  # fmt: skip
    (folder / "catalog.jsonl").write_text(json.dumps(item) + "\n", encoding="utf-8")
    return folder


def test_a_checkout_answers_from_a_copy_and_a_bento_from_what_is_pinned(own_home: Path, tmp_path: Path) -> None:
    source = write_catalog(own_home / "pipelines" / "sample" / "data" / "catalog")
    name = f"catalog-{content_hash(source)[:16]}"
    served = Places(profile="sample", serving=ServingSettings(), tracking=TrackingSettings(), pinned=None).catalog()
    assert served == own_home / "serving" / "sample" / name
    shutil.rmtree(source)  # as DVC does before `prepare`
    [item] = read_catalog(served)
    assert open_picture(served / item.image).size == (8, 8)
    pinned = Places(profile="sample", serving=ServingSettings(), tracking=TrackingSettings(), pinned=tmp_path)
    assert pinned.catalog() == tmp_path / "catalog"


def test_the_same_catalog_is_copied_once_and_a_new_one_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = write_catalog(tmp_path / "catalog"), tmp_path / "serving"
    first = catalog_copy(source, folder)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copytree", lambda *_: pytest.fail("copied again"))
        assert catalog_copy(source, folder) == first
    shutil.rmtree(source)
    second = catalog_copy(write_catalog(source, "red"), folder)
    assert open_picture(first / "images" / "i1.png").getpixel((0, 0)) == (0, 0, 128)
    assert open_picture(second / "images" / "i1.png").getpixel((0, 0)) == (255, 0, 0)
    assert sorted(one.name for one in folder.iterdir()) == sorted([first.name, second.name])


def test_half_a_catalog_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, folder = tmp_path / "catalog", tmp_path / "serving"
    with pytest.raises(IndexNotReadyError, match="no catalog in"):
        catalog_copy(source, folder)
    write_catalog(source)
    copytree = shutil.copytree

    def while_it_is_removed(origin: Path, target: Path, *options: object) -> object:
        (source / "images" / "i1.png").unlink(missing_ok=True)
        return copytree(origin, target, *options)

    monkeypatch.setattr(shutil, "copytree", while_it_is_removed)
    with pytest.raises(IndexNotReadyError, match="changed while it was copied"):
        catalog_copy(source, folder)
    assert list(folder.iterdir()) == []
