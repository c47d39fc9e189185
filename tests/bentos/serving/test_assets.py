"""What a process answers from: pinned in a Bento, or fetched from the registry and the folders of a profile."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura.artifact import write_json, write_text
from aura.errors import AuraError, IndexNotReadyError, RegistryError
from aura.registry import Registry
from aura.taxonomy import Category
from aura.tracking import TrackingSettings
from bentos.serving.assets import PinnedAssets, RegistryAssets, open_assets
from bentos.serving.messages import ModelVersion
from bentos.serving.settings import ServingSettings
from tests.bentos.small_index import SmallIndex


def registry_assets() -> RegistryAssets:
    return RegistryAssets("sample", ServingSettings(), TrackingSettings())


def test_a_bento_answers_from_what_is_pinned(tmp_path: Path) -> None:
    write_text(tmp_path / "params.yaml", "profile: night\nserving: {max_new_tokens: 7}\ntracking: {enabled: false}\n")
    write_json(tmp_path / "champions" / "champions.json", {"chat": {"version": "3"}})
    pinned = PinnedAssets(tmp_path)
    assert (pinned.profile, pinned.serving.max_new_tokens) == ("night", 7)
    champion = pinned.champion("chat")
    assert champion.version == ModelVersion(name="chat", version="3")
    assert champion.folder == tmp_path / "champions" / "chat"
    with pytest.raises(IndexNotReadyError):
        pinned.index()


def test_the_catalog_is_read_without_the_models_that_a_search_needs(own_home: Path, tmp_path: Path) -> None:
    """The release names models that do not exist."""
    built = SmallIndex(tmp_path)
    built.publish({"i1": Category.TOPS})
    (own_home / "index").mkdir(parents=True)
    built.uri.rename(own_home / "index" / "sample")
    assert [row.item_id for row in registry_assets().index().current().catalog().rows] == ["i1"]
    for searched in ({"texts": True}, {"pictures": True}):
        with pytest.raises((AuraError, ValueError)):
            registry_assets().index(**searched)


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
