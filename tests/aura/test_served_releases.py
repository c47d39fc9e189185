"""Releases on a real MLflow store: made last and once, whatever is killed in between; read by number."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from aura.artifact import write_json
from aura.errors import RegistryError
from aura.registry import CHAMPION, Registry
from aura.releases import IndexVersion, Release, Releases
from aura.tracking import TrackingSettings

INDEX = IndexVersion(number=3, digest="abc")


@pytest.fixture
def registry() -> Registry:
    return Registry(TrackingSettings(), "sample")


@pytest.fixture
def releases(registry: Registry) -> Releases:
    return Releases(registry)


def promote(registry: Registry, folder: Path, model: str, candidate: str) -> None:
    write_json(folder / candidate / "config.json", {"candidate": candidate})
    version = registry.register(model, folder / candidate, run_id=None, tags={"candidate_id": candidate})
    registry.promote(model, version.version)


def make(releases: Releases, reason: str = "a night", index: IndexVersion | None = INDEX) -> Release:
    return releases.make(lambda: index, reason)


def test_a_release_names_all_champions_and_the_index(registry: Registry, releases: Releases, tmp_path: Path) -> None:
    assert releases.serving() is None
    assert releases.all() == []
    promote(registry, tmp_path, "detection", "d1")
    promote(registry, tmp_path, "chat", "c1")
    made = make(releases)
    assert (made.number, dict(made.models), made.index) == (1, {"chat": "1", "detection": "1"}, INDEX)
    assert (made.reason, made.replaced) == ("a night", None)
    assert str(made) == "release 1 (chat 1, detection 1, index 3)"
    assert Releases(registry).serving() == made == releases.get(1), "another process reads the same"
    assert Release.from_dict(made.as_dict()) == made
    assert registry.at("detection", CHAMPION) is not None, "the aliases of the models stay as they are"


def test_making_it_again_changes_nothing_and_a_change_makes_the_next(
    registry: Registry, releases: Releases, tmp_path: Path
) -> None:
    promote(registry, tmp_path, "detection", "d1")
    assert make(releases) == make(releases, "again")
    promote(registry, tmp_path, "detection", "d2")
    second = make(releases, "promoted")
    assert (second.number, second.models["detection"], second.replaced) == (2, "2", 1)
    third = make(releases, "an index", IndexVersion(number=4))
    assert (third.number, third.index, third.replaced) == (3, IndexVersion(number=4), 2)
    assert [release.number for release in releases.all()] == [3, 2, 1]


def test_an_index_that_cannot_be_read_is_not_taken_out_of_what_serves(
    registry: Registry, releases: Releases, tmp_path: Path
) -> None:
    promote(registry, tmp_path, "detection", "d1")
    make(releases)
    promote(registry, tmp_path, "detection", "d2")
    assert make(releases, index=None).index == INDEX


def test_a_kill_before_the_last_step_leaves_what_served_and_the_next_call_finishes(
    registry: Registry, releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(registry, tmp_path, "detection", "d1")
    first = make(releases)
    promote(registry, tmp_path, "detection", "d2")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "set_alias", killed)
        with pytest.raises(KeyboardInterrupt):
            make(releases)
    assert Releases(registry).serving() == first
    finished = make(releases)
    assert (finished.models["detection"], finished.replaced) == ("2", 1)
    assert releases.serving() == finished


def test_a_promotion_that_comes_while_a_release_is_made_is_in_what_serves(
    registry: Registry, releases: Releases, tmp_path: Path
) -> None:
    promote(registry, tmp_path, "detection", "d1")
    came = False

    def index() -> IndexVersion:  # read after the aliases
        nonlocal came
        if not came:
            came = True
            promote(registry, tmp_path, "chat", "c1")
        return INDEX

    assert dict(releases.make(index, "a night").models) == {"chat": "1", "detection": "1"}


def test_makers_side_by_side_end_with_what_the_aliases_name(registry: Registry, tmp_path: Path) -> None:
    def work(model: str) -> None:
        promote(registry, tmp_path, model, f"{model}-1")
        make(Releases(registry), model)

    threads = [threading.Thread(target=work, args=(model,)) for model in ("detection", "outfits", "chat")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    serving = Releases(registry).serving()
    assert serving is not None
    assert dict(serving.models) == {"chat": "1", "detection": "1", "outfits": "1"}


def test_profiles_with_names_alike_do_not_mix(registry: Registry, releases: Releases, tmp_path: Path) -> None:
    promote(registry, tmp_path, "detection", "d1")
    for other in ("sample.summer", "sampleX", "sample2"):
        promote(Registry(TrackingSettings(), other), tmp_path, "chat", f"c-{other}")
    assert dict(make(releases).models) == {"detection": "1"}


def test_a_number_that_does_not_exist_is_refused_with_those_that_do(
    registry: Registry, releases: Releases, tmp_path: Path
) -> None:
    with pytest.raises(RegistryError, match="there are: none"):
        releases.get(7)
    promote(registry, tmp_path, "detection", "d1")
    make(releases)
    with pytest.raises(RegistryError, match="there is no release 7; there are: 1"):
        releases.get(7)
