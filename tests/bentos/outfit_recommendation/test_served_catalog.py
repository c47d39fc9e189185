"""The catalog of the outfit service is that of the served release of the index, from which the other services answer."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aura.errors import IndexNotReadyError
from aura.paths import cache_dir
from aura.taxonomy import Category
from bentos.outfit_recommendation.messages import CompleteOutfit, Completions, Garment, Judgement, JudgeOutfit
from bentos.outfit_recommendation.model import OutfitRunner
from bentos.serving.errors import Failure
from bentos.serving.messages import RgbImage
from inference.outfits.catalog_search import KEPT
from inference.outfits.items import Item
from inference.retrieval.releases import rollback
from tests.bentos.small_index import SmallIndex
from tests.bentos.stub_assets import StubAssets

SHIRT = Garment(category=Category.TOPS, title="A shirt")


class Network:
    """Answers in the right shapes, and embeds when it may."""

    def __init__(self) -> None:
        self.may_embed = threading.Event()
        self.may_embed.set()
        self.embedded: list[str] = []
        self.failure: Exception | None = None

    def item_vectors(self, items: Sequence[Item]) -> np.ndarray:
        assert self.may_embed.wait(60)
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


@pytest.fixture
def assets(small_index: SmallIndex, tmp_path: Path) -> StubAssets:
    (tmp_path / "champion").mkdir()
    return StubAssets(champion_folder=tmp_path / "champion", served_index=small_index.served())


@pytest.fixture
def runner(assets: StubAssets, network: Network) -> Any:
    return OutfitRunner.inner(assets, lambda *_: network)


def known(runner: Any, item_id: str) -> bool:
    [answer] = runner.evaluate([JudgeOutfit(items=[Garment(item_id=item_id)])])
    assert isinstance(answer, Judgement) or answer.code == "invalid_request"
    return isinstance(answer, Judgement)


def recommended(runner: Any) -> set[str]:
    [found] = runner.recommend([CompleteOutfit(items=[SHIRT], targets=[*Category], k=5)])
    assert isinstance(found, Completions)
    return {item.item_id for items in found.targets.values() for item in items}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_picture_without_a_title_is_called_by_what_it_shows(runner: Any) -> None:
    pixels = np.full((40, 40, 3), 255, dtype=np.uint8)
    pixels[6:34, 6:34] = (27, 36, 64)
    picture = RgbImage.of(Image.fromarray(pixels))
    for title, said in (("", "Navy shoes"), ("My best ones", "My best ones")):
        garment = Garment(category=Category.SHOES, title=title, image=picture)
        [answer] = runner.evaluate([JudgeOutfit(items=[garment, SHIRT])])
        assert isinstance(answer, Judgement)
        assert [item.title for item in answer.items] == [said, "A shirt"]


def test_an_id_that_a_search_finds_is_known_at_once_and_recommended_when_all_are_embedded(
    runner: Any, small_index: SmallIndex, network: Network
) -> None:
    network.may_embed.clear()
    small_index.publish({"new": Category.HATS, "kept": Category.SHOES})
    found = small_index.served().current().catalog().rows
    assert [known(runner, row.item_id) for row in found] == [True, True]
    assert recommended(runner) == {"old", "kept"}, "half of the new release is not mixed with the old one"
    assert "release 1; 2 is not embedded yet" in asyncio.run(runner.status()).degraded[0]
    assert known(runner, "old"), "it is still recommended"
    network.may_embed.set()
    until(lambda: recommended(runner) == {"new", "kept"})
    assert asyncio.run(runner.status()).degraded == []
    assert not known(runner, "old")
    assert network.embedded == ["kept", "old", "new"], "what was embedded before is not embedded again"


def test_a_changed_picture_is_what_an_id_means_from_then_on(runner: Any, small_index: SmallIndex) -> None:
    def shown() -> float:
        [answer] = runner.evaluate([JudgeOutfit(items=[Garment(item_id="kept")])])
        return float(answer.items[0].contribution)

    before = shown()
    small_index.publish({"old": Category.HATS, "kept": Category.SHOES}, colour="white")
    assert (before < 128, shown()) == (True, 255.0)
    until(lambda: asyncio.run(runner.status()).degraded == [])
    assert shown() == 255.0, "also from the vector that was made of it"


def test_items_and_pictures_are_there_whatever_the_pipeline_does_to_its_own(
    runner: Any, small_index: SmallIndex
) -> None:
    shutil.rmtree(small_index.catalog_folder)  # as DVC does before `prepare`
    assert known(runner, "old")
    assert recommended(runner) == {"old", "kept"}


def test_a_release_that_cannot_be_embedded_leaves_the_one_before(
    runner: Any, small_index: SmallIndex, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    network.failure = RuntimeError("no memory")
    small_index.publish({"new": Category.HATS})
    assert known(runner, "new")
    until(lambda: "recommendations stay with release 1" in caplog.text)
    assert recommended(runner) == {"old", "kept"}
    network.failure = None
    small_index.publish({"newer": Category.HATS})
    until(lambda: recommended(runner) == {"newer"})


def test_an_index_that_was_deleted_and_built_again_is_another_release_of_the_same_number(
    runner: Any, small_index: SmallIndex, tmp_path: Path
) -> None:
    again = SmallIndex(tmp_path / "again")
    again.publish({"new": Category.HATS})
    shutil.rmtree(small_index.uri)
    shutil.copytree(again.uri, small_index.uri)
    assert known(runner, "new")
    until(lambda: asyncio.run(runner.status()).degraded == [])  # pictures of the old release have gone
    assert recommended(runner) == {"new"}


def test_what_failed_to_be_embedded_is_tried_again(
    runner: Any, small_index: SmallIndex, network: Network, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    monkeypatch.setattr("bentos.outfit_recommendation.catalog._RETRY_SECONDS", 0.0)
    network.failure = RuntimeError("no memory")
    small_index.publish({"new": Category.HATS})
    assert known(runner, "new")
    until(lambda: "recommendations stay with release 1" in caplog.text)
    network.failure = None
    until(lambda: recommended(runner) == {"new"})


def test_a_cache_that_cannot_be_written_costs_the_next_start_only(
    assets: StubAssets, network: Network, caplog: pytest.LogCaptureFixture
) -> None:
    folder = cache_dir() / "catalog-vectors"
    folder.parent.mkdir(parents=True)
    folder.write_text("a file where the folder should be")
    runner = OutfitRunner.inner(assets, lambda *_: network)
    assert recommended(runner) == {"old", "kept"}
    assert "vectors of the catalog are not kept" in caplog.text


def test_an_index_that_opens_at_the_release_before_is_told_until_a_build_has_mended_it(
    assets: StubAssets, small_index: SmallIndex, network: Network
) -> None:
    small_index.publish({"new": Category.HATS})
    max((small_index.uri / "catalog.lance" / "data").iterdir(), key=lambda file: file.stat().st_mtime_ns).unlink()
    opened = small_index.served()
    assert (opened.version, len(opened.degraded)) == ("1", 1), "also where no search follows, as in a Bento"
    assets.served_index = opened
    runner = OutfitRunner.inner(assets, lambda *_: network)
    assert recommended(runner) == {"old", "kept"}
    assert "stay at index release 1" in asyncio.run(runner.status()).degraded[0]
    rollback(small_index.uri)
    assert recommended(runner) == {"old", "kept"}
    assert opened.degraded == []


def test_of_the_embeddings_the_newest_are_kept(assets: StubAssets, network: Network) -> None:
    folder = cache_dir() / "catalog-vectors"
    folder.mkdir(parents=True)
    for age in range(6):
        for name in (f"old-{age}.npy", f"old-{age}.1-2.tmp.npy"):
            (folder / name).touch()
            os.utime(folder / name, (1000.0 - age,) * 2)
    OutfitRunner.inner(assets, lambda *_: network)
    assert len(list(folder.iterdir())) == KEPT
    assert len([file for file in folder.iterdir() if not file.name.startswith("old-")]) == 1


def test_own_garments_are_judged_before_there_is_an_index(assets: StubAssets, network: Network) -> None:
    served, assets.served_index = assets.served_index, IndexNotReadyError("no index yet")
    runner = OutfitRunner.inner(assets, lambda *_: network)
    [judged] = runner.evaluate([JudgeOutfit(items=[SHIRT])])
    assert isinstance(judged, Judgement)
    [refused] = runner.recommend([CompleteOutfit(items=[SHIRT], targets=[], k=1)])
    assert isinstance(refused, Failure)
    assert refused.code == "index_not_ready"
    assert "no index yet" in asyncio.run(runner.status()).degraded[0]
    assets.served_index = served
    assert recommended(runner) == {"old", "kept"}


def test_an_index_of_an_older_aura_has_no_catalog_until_the_next_build(tmp_path: Path, network: Network) -> None:
    index = SmallIndex(tmp_path / "older")
    index.publish({"old": Category.HATS}, pictures=False)
    (tmp_path / "champion").mkdir()
    assets = StubAssets(champion_folder=tmp_path / "champion", served_index=index.served())
    runner = OutfitRunner.inner(assets, lambda *_: network)
    [refused] = runner.recommend([CompleteOutfit(items=[SHIRT], targets=[], k=1)])
    assert isinstance(refused, Failure)
    assert refused.code == "index_not_ready"
    shutil.rmtree(index.uri)
    newer = SmallIndex(tmp_path / "newer")
    newer.publish({"new": Category.HATS})
    shutil.copytree(newer.uri, index.uri)
    assert recommended(runner) == {"new"}


def test_no_rollback_to_an_index_of_an_older_aura(tmp_path: Path) -> None:
    older = SmallIndex(tmp_path / "older")
    older.publish({"old": Category.HATS}, pictures=False)
    older.publish({"old": Category.HATS}, pictures=False)
    with pytest.raises(IndexNotReadyError, match=r"release 1, .* holds no pictures"):
        rollback(older.uri)
    assert older.served().version == "2"
