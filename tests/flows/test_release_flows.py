"""Going back to what served together: models and index at once, checked before anything moves, finished after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura.artifact import write_json
from aura.errors import DamagedArtifactError, IndexNotReadyError, RegistryError
from aura.registry import CHAMPION, Registry
from aura.releases import Release, Releases
from aura.taxonomy import Category
from aura.tracking import TrackingSettings
from flows import releases as flow
from flows.releases import go_back, make_release
from inference.retrieval.releases import served_index
from tests.bentos.small_index import SmallIndex


class Home:
    """Two models and an index; each night promotes what it is told."""

    def __init__(self, folder: Path) -> None:
        self.registry = Registry(TrackingSettings(), "sample")
        self.index = SmallIndex(folder / "built")
        self._folder = folder

    def night(self, *models: str, item: str = "") -> Release:
        for model in models:
            candidate = f"{model}-{len(self.registry.versions(model)) + 1}"
            write_json(self._folder / candidate / "config.json", {"candidate": candidate})
            version = self.registry.register(
                model, self._folder / candidate, run_id=None, tags={"candidate_id": candidate}
            )
            self.registry.promote(model, version.version)
        if item:
            self.index.publish({item: Category.HATS})
        return make_release(self.registry, self.index.uri, "a night")

    def back(self, number: int | None = None) -> Release:
        return go_back(self.registry, self.index.uri, number)

    def champions(self) -> dict[str, str]:
        return self.registry.champions()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_one_call_takes_a_night_back_and_a_second_one_undoes_that(home: Home) -> None:
    first = home.night("detection", "chat", item="i1")
    second = home.night("detection", "chat", item="i2")
    back = home.back()
    assert (back.number, back.replaced, back.reason) == (3, 2, "back to release 1")
    assert back.names(first.models, first.index)
    assert home.champions() == {"chat": "1", "detection": "1"}
    assert served_index(home.index.uri) == first.index
    again = home.back()
    assert (again.number, again.names(second.models, second.index)) == (4, True)
    assert home.champions() == {"chat": "2", "detection": "2"}


def test_an_earlier_release_is_named_by_its_number(home: Home) -> None:
    home.night("detection", item="i1")
    home.night("detection")
    home.night("detection")
    assert dict(home.back(1).models) == {"detection": "1"}
    with pytest.raises(RegistryError, match="there is no release 9"):
        home.back(9)


def test_nothing_moves_where_a_part_is_not_to_be_had(home: Home, own_home: Path) -> None:
    with pytest.raises(RegistryError, match="no release before"):
        home.back()
    home.night("detection", "chat", item="i1")
    second = home.night("detection", "chat", item="i2")
    version = home.registry.version("detection", "1")
    (stored,) = (own_home / "mlflow" / "artifacts").rglob(f"{version.run_id}/artifacts/model/config.json")
    whole = stored.read_bytes()
    stored.write_text("{}")
    with pytest.raises(DamagedArtifactError):
        home.back()
    stored.write_bytes(whole)
    third = home.night(item="i3")
    with pytest.raises(IndexNotReadyError, match="no longer keeps release 1"):
        home.back(1)
    assert home.champions() == dict(second.models)
    assert Releases(home.registry).serving() == third


def test_a_release_without_a_model_that_serves_now_is_no_way_back(home: Home) -> None:
    home.night("detection")
    home.night("chat")
    with pytest.raises(RegistryError, match="release 1 has no chat, which serves now"):
        home.back()
    home.night(item="i1")
    with pytest.raises(RegistryError, match="release 2 has no index, which serves now"):
        home.back()


def test_a_way_back_that_was_killed_is_finished_by_the_next_call(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    first = home.night("detection", "chat", item="i1")
    second = home.night("detection", "chat", item="i2")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for step in ("promote", "make_release"):
        with monkeypatch.context() as patch:
            patch.setattr(*((Registry, step) if step == "promote" else (flow, step)), killed)
            with pytest.raises(KeyboardInterrupt):
                home.back()
        assert Releases(home.registry).serving() == second, "services go on answering from what they had"
    assert home.back().names(first.models, first.index)
    assert home.registry.at("chat", CHAMPION) is not None
