"""What a process answers from: pinned in a Bento, or fetched from the registry and the folders of a profile."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aura.artifact import write_json, write_text
from aura.errors import AuraError, IndexNotReadyError, RegistryError, RegistryUnavailableError
from aura.in_use import remove_unless_in_use
from aura.registry import Registry
from aura.releases import IndexVersion, Release, Releases
from aura.taxonomy import Category
from aura.tracking import TrackingSettings
from bentos.serving.assets import PinnedAssets, RegistryAssets, open_assets
from bentos.serving.messages import ModelVersion
from bentos.serving.settings import ServingSettings
from inference.retrieval.releases import served_index
from tests.bentos.small_index import SmallIndex


def registry_assets() -> RegistryAssets:
    return RegistryAssets("sample", ServingSettings(), TrackingSettings())


@pytest.fixture
def built(own_home: Path, tmp_path: Path) -> SmallIndex:
    """The index of the profile."""
    index = SmallIndex(tmp_path)
    index.publish({"i1": Category.TOPS})
    index.move(own_home / "index" / "sample")
    return index


def test_a_bento_answers_from_what_is_pinned(tmp_path: Path) -> None:
    write_text(tmp_path / "params.yaml", "profile: night\nserving: {max_new_tokens: 7}\ntracking: {enabled: false}\n")
    release = Release(number=4, models={"chat": "3"}, index=IndexVersion(number=1, digest="abc"))
    write_json(tmp_path / "release.json", release.as_dict())
    pinned = PinnedAssets(tmp_path)
    assert (pinned.profile, pinned.serving.max_new_tokens, pinned.follows) == ("night", 7, False)
    assert (pinned.release(), pinned.release_before(release)) == (release, None)
    with pinned.champion("chat", release) as champion:
        assert champion.version == ModelVersion(name="chat", version="3")
        assert champion.folder == tmp_path / "champions" / "chat"
    with pytest.raises(IndexNotReadyError):
        pinned.index(release)
    assert pinned.index(replace(release, index=None)) is None


def test_the_catalog_is_read_without_the_models_that_a_search_needs(built: SmallIndex) -> None:
    """The index names models that do not exist."""
    release = Release(number=1, index=served_index(built.uri))
    index = registry_assets().index(release)
    assert index is not None
    assert [row.item_id for row in index.catalog().rows] == ["i1"]
    for searched in ({"texts": True}, {"pictures": True}):
        with pytest.raises((AuraError, ValueError)):
            registry_assets().index(release, **searched)


def test_a_release_is_answered_with_its_own_index_or_not_at_all(built: SmallIndex) -> None:
    first = Release(number=1, index=served_index(built.uri))
    built.publish({"i2": Category.TOPS})
    index = registry_assets().index(first)
    assert index is not None
    assert [row.item_id for row in index.catalog().rows] == ["i1"], "the one before is kept"
    assert [catalog.version for catalog in registry_assets().catalogs()] == [2, 1]
    built.publish({"i3": Category.TOPS})
    with pytest.raises(IndexNotReadyError, match="no longer keeps release 1"):
        registry_assets().index(first)
    again = IndexVersion(number=3, digest="of another index")
    with pytest.raises(IndexNotReadyError, match="no longer keeps release 3"):
        registry_assets().index(replace(first, index=again))


def test_a_model_of_a_release_is_fetched_once_and_held_while_it_is_loaded(own_home: Path, tmp_path: Path) -> None:
    assets = registry_assets()
    write_text(tmp_path / "artifact" / "config.json", "{}")
    registry = Registry(TrackingSettings(), "sample")
    registered = registry.register("outfits", tmp_path / "artifact", run_id=None, tags={"candidate_id": "c" * 64})
    registry.promote("outfits", registered.version)
    release = assets.release()
    assert (dict(release.models), release.index) == ({"outfits": "1"}, None)
    assert release == assets.release() == Releases(registry).serving(), "a home without releases gets its first one"
    with pytest.raises(RegistryError, match="has no chat model"), assets.champion("chat", release):
        pass
    with assets.champion("outfits", release) as champion:
        assert champion.version == ModelVersion(name="outfits", version="1")
        assert champion.folder == own_home / "serving" / "sample" / "outfits" / ("c" * 16)
        fetched = (champion.folder / "config.json").stat().st_ino
        assert not remove_unless_in_use(champion.folder)
    with assets.champion("outfits", release) as again:
        assert again == champion
        assert (champion.folder / "config.json").stat().st_ino == fetched, "fetched again"
    assert remove_unless_in_use(champion.folder)


def test_what_served_last_is_there_while_the_registry_is_away_if_nobody_changed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text(tmp_path / "artifact" / "config.json", "{}")
    registry = Registry(TrackingSettings(), "sample")
    registered = registry.register("chat", tmp_path / "artifact", run_id=None, tags={"candidate_id": "c" * 64})
    registry.promote("chat", registered.version)
    assets = registry_assets()
    release = assets.release()
    with assets.champion("chat", release) as champion:
        copy = champion.folder
    assert registry_assets().last_served("chat") is None
    assets.has_served("chat", release)

    def away(*_: object) -> None:
        raise RegistryUnavailableError("no MLflow server answers")

    monkeypatch.setattr(Registry, "version", away)
    again = registry_assets()
    assert again.last_served("chat") == release
    with again.champion("chat", release) as champion:
        assert champion.folder == copy
    other = replace(release, models={"chat": "2"})
    with pytest.raises(RegistryUnavailableError), again.champion("chat", other):
        pass
    write_text(copy / "config.json", "changed")
    with pytest.raises(RegistryUnavailableError), again.champion("chat", release):
        pass


def test_the_release_before_is_what_it_replaced(tmp_path: Path) -> None:
    registry = Registry(TrackingSettings(), "sample")
    for candidate in ("c", "d"):
        write_text(tmp_path / "artifact" / "config.json", candidate)
        version = registry.register("chat", tmp_path / "artifact", run_id=None, tags={"candidate_id": candidate})
        registry.promote("chat", version.version)
        release = registry_assets().release() if candidate == "c" else Releases(registry).make(lambda: None, "promoted")
    before = registry_assets().release_before(release)
    assert before is not None
    assert (before.number, before.models, release.models) == (1, {"chat": "1"}, {"chat": "2"})
    assert registry_assets().release_before(before) is None


def test_without_pins_the_profile_of_the_environment_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_PROFILE", "production")
    monkeypatch.setenv("AURA_SERVING__MAX_NEW_TOKENS", "9")
    assets = open_assets()
    assert isinstance(assets, RegistryAssets)
    assert (assets.profile, assets.serving.max_new_tokens) == ("production", 9)
