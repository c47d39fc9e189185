"""What a process answers from: pinned in a Bento, or fetched from the registry and the folders of a profile."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from aura.artifact import content_hash, write_json, write_text
from aura.errors import IndexNotReadyError, RegistryError
from aura.registry import Registry
from aura.tracking import TrackingSettings
from bentos.serving.assets import PinnedAssets, RegistryAssets, copied_catalog, open_assets
from bentos.serving.messages import ModelVersion
from bentos.serving.settings import ServingSettings
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


def registry_assets() -> RegistryAssets:
    return RegistryAssets("sample", ServingSettings(), TrackingSettings())


def test_a_checkout_answers_from_a_copy_of_the_catalog(own_home: Path) -> None:
    source = write_catalog(own_home / "pipelines" / "sample" / "data" / "catalog")
    name = f"catalog-{content_hash(source)[:16]}"
    served = registry_assets().catalog()
    assert served == own_home / "serving" / "sample" / name
    shutil.rmtree(source)  # as DVC does before `prepare`
    [item] = read_catalog(served)
    assert open_picture(served / item.image).size == (8, 8)


def test_a_bento_answers_from_what_is_pinned(tmp_path: Path) -> None:
    write_text(tmp_path / "params.yaml", "profile: night\nserving: {max_new_tokens: 7}\ntracking: {enabled: false}\n")
    write_json(tmp_path / "champions" / "champions.json", {"chat": {"version": "3"}})
    pinned = PinnedAssets(tmp_path)
    assert (pinned.profile, pinned.serving.max_new_tokens) == ("night", 7)
    assert pinned.catalog() == tmp_path / "catalog"
    champion = pinned.champion("chat")
    assert champion.version == ModelVersion(name="chat", version="3")
    assert champion.folder == tmp_path / "champions" / "chat"
    with pytest.raises(IndexNotReadyError):
        pinned.index()


def test_a_champion_of_the_registry_is_fetched_once(own_home: Path, tmp_path: Path) -> None:
    assets = registry_assets()
    with pytest.raises(RegistryError, match="no champion for outfits"):
        assets.champion("outfits")
    write_text(tmp_path / "artifact" / "config.json", "{}")
    registry = Registry(TrackingSettings(), "sample")
    registered = registry.register("outfits", tmp_path / "artifact", run_id=None, tags={"candidate_id": "c" * 64})
    registry.promote("outfits", registered.version)
    champion = assets.champion("outfits")
    assert champion.version == ModelVersion(name="outfits", version="1")
    assert champion.folder == own_home / "serving" / "sample" / "outfits" / ("c" * 16)
    fetched = (champion.folder / "config.json").stat().st_ino
    assert assets.champion("outfits") == champion
    assert (champion.folder / "config.json").stat().st_ino == fetched, "fetched again"


def test_without_pins_the_profile_of_the_environment_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_PROFILE", "production")
    monkeypatch.setenv("AURA_SERVING__MAX_NEW_TOKENS", "9")
    assets = open_assets()
    assert isinstance(assets, RegistryAssets)
    assert (assets.profile, assets.serving.max_new_tokens) == ("production", 9)


def test_the_same_catalog_is_copied_once_and_a_new_one_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = write_catalog(tmp_path / "catalog"), tmp_path / "serving"
    first = copied_catalog(source, folder)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copytree", lambda *_: pytest.fail("copied again"))
        assert copied_catalog(source, folder) == first
    shutil.rmtree(source)
    second = copied_catalog(write_catalog(source, "red"), folder)
    assert open_picture(first / "images" / "i1.png").getpixel((0, 0)) == (0, 0, 128)
    assert open_picture(second / "images" / "i1.png").getpixel((0, 0)) == (255, 0, 0)
    assert sorted(path.name for path in folder.iterdir()) == sorted([first.name, second.name])


def test_half_a_catalog_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, folder = tmp_path / "catalog", tmp_path / "serving"
    with pytest.raises(IndexNotReadyError, match="no catalog in"):
        copied_catalog(source, folder)
    write_catalog(source)
    copytree = shutil.copytree

    def while_it_is_removed(origin: Path, target: Path, *options: object) -> object:
        (source / "images" / "i1.png").unlink(missing_ok=True)
        return copytree(origin, target, *options)

    monkeypatch.setattr(shutil, "copytree", while_it_is_removed)
    with pytest.raises(IndexNotReadyError, match="changed while it was copied"):
        copied_catalog(source, folder)
    assert list(folder.iterdir()) == []
