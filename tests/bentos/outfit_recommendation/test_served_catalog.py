"""The catalog of the outfit service is that of the served release of the index, from which the other services answer."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aura.errors import IndexNotReadyError
from aura.paths import cache_dir
from aura.releases import Release
from aura.taxonomy import Category
from bentos.outfit_recommendation.messages import CompleteOutfit, Completions, Garment, Judgement, JudgeOutfit
from bentos.outfit_recommendation.model import OutfitRunner
from bentos.serving.errors import Failure
from bentos.serving.messages import RgbImage
from inference.garment_colours import measured_colours
from inference.outfits import catalog_search
from inference.outfits.catalog_vectors import KEPT
from inference.outfits.items import Item
from inference.retrieval.releases import rollback, served_index
from tests.bentos.small_index import SmallIndex
from tests.bentos.stub_assets import StubAssets

SHIRT = Garment(category=Category.TOPS, title="A shirt")


class Network:
    """Answers in the right shapes, and embeds when it may."""

    def __init__(self) -> None:
        self.embedded: list[str] = []
        self.failure: Exception | None = None

    def item_vectors(self, items: Sequence[Item]) -> np.ndarray:
        if self.failure:
            raise self.failure
        self.embedded += [item.item_id for item in items]
        return np.array([[brightness(item)] * 4 for item in items], dtype=np.float32)

    def embed_vectors(self, vectors: np.ndarray) -> np.ndarray:
        return np.ones_like(vectors)

    def with_vectors(self, items: Sequence[Item]) -> list[Item]:
        from inference.outfits.picture_titles import titled

        return [titled(item) for item in items]

    def queries(self, outfits: Sequence[Sequence[Item]], targets: Sequence[Category]) -> np.ndarray:
        return np.ones((len(targets), 4), dtype=np.float32)

    def score(self, outfits: Sequence[Sequence[Item]]) -> list[float]:
        return [0.5 for _ in outfits]

    def strongest_words(self, first: Item, second: Item) -> tuple[str, str, float] | None:
        return None

    def judge(self, outfits: Sequence[Sequence[Item]]) -> list[tuple[float, list[float]]]:
        return [(0.5, [brightness(item) for item in outfit]) for outfit in outfits]


def brightness(item: Item) -> float:
    """Of its picture, or as the vector says that was made of it; 0 without either."""
    if item.vector is not None:
        return float(item.vector[0])
    return 0.0 if item.image is None else float(np.asarray(item.image).mean())


@pytest.fixture
def small_index(tmp_path: Path) -> SmallIndex:
    index = SmallIndex(tmp_path / "built")
    index.publish({"old": Category.HATS, "kept": Category.SHOES})
    return index


@pytest.fixture
def network() -> Network:
    return Network()


class Assets(StubAssets):
    """One model, and the index of a test at the release that is served there."""

    def __init__(self, index: SmallIndex, champion: Path) -> None:
        super().__init__(champion_folder=champion, kept_in=index.uri)
        self._built = index
        self.follow()

    def follow(self) -> None:
        """Make a release with the index that is served now."""
        self.serves = replace(self.serves, number=self.serves.number + 1, index=served_index(self._built.uri))

    def index(self, release: Release, *, texts: bool = False, pictures: bool = False) -> Any:
        return None if release.index is None else self._built.opened()


@pytest.fixture
def assets(small_index: SmallIndex, tmp_path: Path) -> Assets:
    (tmp_path / "champion").mkdir()
    return Assets(small_index, tmp_path / "champion")


@pytest.fixture
def runner(assets: Assets, network: Network) -> Any:
    return OutfitRunner.inner(assets, lambda *_: network)


def follow(runner: Any, assets: Assets) -> None:
    """Make a release with the index that is served now, and let the runner look once."""
    assets.follow()
    runner._served.look()


def known(runner: Any, item_id: str) -> bool:
    [answer] = runner.evaluate([JudgeOutfit(items=[Garment(item_id=item_id)])])
    assert isinstance(answer, Judgement) or answer.code == "invalid_request"
    return isinstance(answer, Judgement)


def recommended(runner: Any) -> set[str]:
    [found] = runner.recommend([CompleteOutfit(items=[SHIRT], targets=[*Category], k=5)])
    assert isinstance(found, Completions)
    return {item.item_id for items in found.targets.values() for item in items}


def test_a_picture_without_a_title_is_called_by_what_it_shows(runner: Any) -> None:
    pixels = np.full((40, 40, 3), 255, dtype=np.uint8)
    pixels[6:34, 6:34] = (27, 36, 64)
    picture = RgbImage.of(Image.fromarray(pixels))
    for title, said in (("", "Navy shoes"), ("My best ones", "My best ones")):
        garment = Garment(category=Category.SHOES, title=title, image=picture)
        [answer] = runner.evaluate([JudgeOutfit(items=[garment, SHIRT])])
        assert isinstance(answer, Judgement)
        assert [item.title for item in answer.items] == [said, "A shirt"]


def test_ids_of_releases_that_other_services_may_answer_from_are_known(
    runner: Any, assets: Assets, small_index: SmallIndex, network: Network
) -> None:
    small_index.publish({"new": Category.HATS, "kept": Category.SHOES})
    found = small_index.opened().catalog().rows
    assert [known(runner, row.item_id) for row in found] == [True, True], "before this service has switched"
    assert recommended(runner) == {"old", "kept"}, "the new release is not mixed with the old one"
    follow(runner, assets)
    assert recommended(runner) == {"new", "kept"}
    assert known(runner, "old"), "a service that has not switched yet finds it"
    assert network.embedded == ["kept", "old", "new"], "what was embedded before is not embedded again"
    small_index.publish({"newer": Category.HATS})
    follow(runner, assets)
    assert [known(runner, item_id) for item_id in ("newer", "new", "old")] == [True, True, False]


def test_another_release_of_a_model_alone_leaves_the_catalog_as_it_is(runner: Any, assets: Assets) -> None:
    before = runner._served.now().search
    assets.serves = replace(assets.serves, number=9, models={**assets.serves.models, "chat": "2"})
    runner._served.look()
    assert runner._served.now().search is before
    assert runner._served.now().versions.id == "9"
    assets.serves = replace(assets.serves, number=10, models={**assets.serves.models, "outfits": "2"})
    runner._served.look()
    assert runner._served.now().search is not before
    assert runner.evaluate([JudgeOutfit(items=[SHIRT])])[0].release.versions == {"outfits": "2", "index": "1"}


def test_a_colour_is_measured_once_whatever_model_or_catalog_serves(
    runner: Any, assets: Assets, small_index: SmallIndex, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = []

    def counted(picture: Image.Image) -> Any:
        measured.append(picture)
        return measured_colours(picture)

    def colours() -> dict[str, str]:
        search = runner._served.now().search
        items = [search.item(row.item_id) for row in search.catalog.rows]
        return {item.item_id: colour.name for item, colour in zip(items, search.colours(items), strict=True)}

    monkeypatch.setattr(catalog_search, "measured_colours", counted)
    before = colours()
    (tmp_path / "champion" / "card.md").write_text("another model")
    assets.serves = replace(assets.serves, number=9, models={**assets.serves.models, "outfits": "2"})
    runner._served.look()
    assert (colours(), len(measured)) == (before, 2)
    small_index.publish({"new": Category.HATS, "kept": Category.SHOES})
    follow(runner, assets)
    assert (colours()["kept"], len(measured)) == (before["kept"], 3)


def test_a_changed_picture_is_what_an_id_means_from_then_on(
    runner: Any, assets: Assets, small_index: SmallIndex
) -> None:
    def shown() -> float:
        [answer] = runner.evaluate([JudgeOutfit(items=[Garment(item_id="kept")])])
        return float(answer.items[0].contribution)

    before = shown()
    small_index.publish({"old": Category.HATS, "kept": Category.SHOES}, colour="white")
    follow(runner, assets)
    assert (before < 128, shown()) == (True, 255.0)


def test_a_release_whose_catalog_cannot_be_embedded_never_serves(
    runner: Any, assets: Assets, small_index: SmallIndex, network: Network
) -> None:
    network.failure = RuntimeError("no memory")
    small_index.publish({"new": Category.HATS})
    follow(runner, assets)
    assert known(runner, "new")
    assert recommended(runner) == {"old", "kept"}
    assert "release 3 cannot serve" in asyncio.run(runner.status()).degraded[0]
    network.failure = None
    small_index.publish({"newer": Category.HATS})
    follow(runner, assets)
    assert recommended(runner) == {"newer"}


def test_an_index_that_was_deleted_and_built_again_is_another_release_of_the_same_number(
    runner: Any, assets: Assets, small_index: SmallIndex, tmp_path: Path
) -> None:
    again = SmallIndex(tmp_path / "again")
    again.publish({"new": Category.HATS})
    shutil.rmtree(small_index.uri)
    shutil.copytree(again.uri, small_index.uri)
    assert known(runner, "new")
    follow(runner, assets)
    assert recommended(runner) == {"new"}


def test_own_garments_are_judged_before_there_is_an_index(assets: Assets, network: Network) -> None:
    with_index, assets.serves = assets.serves, replace(assets.serves, index=None)
    runner = OutfitRunner.inner(assets, lambda *_: network)
    [judged] = runner.evaluate([JudgeOutfit(items=[SHIRT])])
    assert isinstance(judged, Judgement)
    for refused in (
        runner.recommend([CompleteOutfit(items=[SHIRT], targets=[], k=1)])[0],
        runner.evaluate([JudgeOutfit(items=[Garment(item_id="old")])])[0],
    ):
        assert isinstance(refused, Failure)
        assert refused.code == "index_not_ready"
    assert "no index yet" in asyncio.run(runner.status()).degraded[0]
    assets.serves = replace(with_index, number=7)
    runner._served.look()
    assert recommended(runner) == {"old", "kept"}


def test_items_and_pictures_are_there_whatever_the_pipeline_does_to_its_own(
    runner: Any, small_index: SmallIndex
) -> None:
    shutil.rmtree(small_index.catalog_folder)  # as DVC does before `prepare`
    assert known(runner, "old")
    assert recommended(runner) == {"old", "kept"}


def test_a_cache_that_cannot_be_written_costs_the_next_start_only(
    assets: Assets, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    folder = cache_dir() / "catalog-vectors"
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the folder should be")
    runner = OutfitRunner.inner(assets, lambda *_: network)
    assert recommended(runner) == {"old", "kept"}
    assert "vectors of the catalog are not kept" in caplog.text


def test_of_the_embeddings_the_newest_are_kept(assets: Assets, network: Network) -> None:
    folder = cache_dir() / "catalog-vectors"
    folder.mkdir(parents=True)
    for age in range(KEPT):
        for name in (f"old-{age}.npy", f"old-{age}.1-2.tmp.npy"):
            (folder / name).touch()
            os.utime(folder / name, (1000.0 - age,) * 2)
    OutfitRunner.inner(assets, lambda *_: network)
    assert len(list(folder.iterdir())) == KEPT
    assert len([file for file in folder.iterdir() if not file.name.startswith("old-")]) == 1


def test_no_rollback_to_an_index_of_an_older_aura(tmp_path: Path) -> None:
    older = SmallIndex(tmp_path / "older")
    older.publish({"old": Category.HATS}, pictures=False)
    older.publish({"old": Category.HATS}, pictures=False)
    with pytest.raises(IndexNotReadyError, match=r"release 1, .* holds no pictures"):
        rollback(older.uri)
    assert older.opened().version == 2
