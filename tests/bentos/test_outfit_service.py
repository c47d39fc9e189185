"""The outfit service's model part on a real catalog, with a stand-in for the network; its API part over HTTP."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from _bentoml_sdk.service import set_current_service
from fastapi.testclient import TestClient
from PIL import Image

from aura.taxonomy import CATEGORIES, Category
from bentos.outfit_recommendation.catalog import Catalog
from bentos.outfit_recommendation.service import OutfitRecommendation, OutfitScorer, app
from bentos.outfit_recommendation.targets import missing_categories
from inference.outfits.items import Item
from inference.outfits.model import OutfitModel


class Network:
    """Answers in the right shapes."""

    def embed_items(self, items: Sequence[Item]) -> np.ndarray:
        return np.eye(len(items), 4, dtype=np.float32)

    def query(self, outfit: Sequence[Item], target: Category) -> np.ndarray:
        return np.ones(4, dtype=np.float32)

    def score(self, outfits: Sequence[Sequence[Item]]) -> list[float]:
        return [0.5 for _ in outfits]

    def contributions(self, outfit: Sequence[Item]) -> list[float]:
        return [0.0 for _ in outfit]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A catalog with one item of each category, `item-<category>`."""
    (tmp_path / "images").mkdir()
    rows = []
    for category in CATEGORIES:
        Image.new("RGB", (8, 8)).save(tmp_path / "images" / f"{category.value}.png")
        rows.append(
            {
                "item_id": f"item-{category.value}", "category": category.value, "title": f"Some {category.value}",
                "description": "", "attributes": {}, "image": f"images/{category.value}.png",
            }
        )  # fmt: skip
    (tmp_path / "catalog.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return tmp_path


@pytest.fixture
def part(folder: Path) -> Any:
    part = OutfitScorer.inner.__new__(OutfitScorer.inner)
    part._model = Network()
    part._catalog = Catalog(folder, part._model, "test")
    part._champion = SimpleNamespace(as_dict=lambda: {"name": "outfits", "version": "1"})
    return part


def test_a_new_champion_at_the_same_place_embeds_the_catalog_anew(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every Bento has its champion in the same folder, and all of them share one cache of embeddings."""

    class Scaled(Network):
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def embed_items(self, items: Sequence[Item]) -> np.ndarray:
            embedded.append(self.factor)
            return super().embed_items(items) * self.factor

    pinned = tmp_path_factory.mktemp("pinned")
    champion = SimpleNamespace(folder=pinned / "outfits")
    champion.folder.mkdir()
    shutil.copytree(folder, pinned / "catalog")
    embedded: list[float] = []
    stub = SimpleNamespace(
        champion=lambda _: champion, catalog=lambda: pinned / "catalog", serving=SimpleNamespace(device="cpu")
    )
    monkeypatch.setattr("bentos.outfit_recommendation.service.places", lambda: stub)
    monkeypatch.setattr(OutfitModel, "load", lambda folder, **_: Scaled(float((folder / "config.json").read_text())))
    largest = []
    for factor in ("1", "2", "1"):
        (champion.folder / "config.json").write_text(factor)
        largest.append(float(OutfitScorer.inner()._catalog.vectors.max()))
    assert largest == [1, 2, 1]
    assert embedded == [1, 2], "what was embedded once is taken from the cache"


@pytest.fixture
def client(part: Any) -> Iterator[TestClient]:
    async def recommend(**values: Any) -> Any:
        return await asyncio.to_thread(part.recommend, **values)

    async def evaluate(outfits: list[Any]) -> Any:
        return await asyncio.to_thread(part.evaluate, outfits)

    service = OutfitRecommendation.inner()
    service.model = SimpleNamespace(to_async=SimpleNamespace(recommend=recommend, evaluate=evaluate, about=part.about))
    set_current_service(service)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
    set_current_service(None)


SHIRT = {"category": "tops", "title": "A shirt"}


@pytest.mark.parametrize(
    ("items", "targets"),
    [
        ([SHIRT], ["bottoms", "shoes", "bags"]),
        ([{"item_id": "item-shoes"}], ["tops", "bottoms", "bags"]),
        ([{"item_id": "item-all-body"}], ["shoes", "bags"]),
        ([SHIRT, {"item_id": "item-bottoms"}, {"item_id": "item-shoes"}], ["bags"]),
        ([SHIRT, *({"item_id": f"item-{one}"} for one in ("bottoms", "shoes", "bags"))], ["bags"]),
    ],
)
def test_without_targets_what_is_missing_is_recommended(
    client: TestClient, items: list[dict[str, str]], targets: list[str]
) -> None:
    answer = client.post("/recommend", json={"items": items, "k": 1}).json()
    assert list(answer["targets"]) == targets
    for category, found in answer["targets"].items():
        assert [one["category"] for one in found] == [category] * len(found)


def test_wanted_targets_are_what_is_recommended(client: TestClient) -> None:
    wanted = ["hats", "tops"]
    answer = client.post("/recommend", json={"items": [SHIRT], "targets": wanted}).json()
    assert list(answer["targets"]) == wanted


def test_a_dress_needs_neither_top_nor_trousers() -> None:
    assert missing_categories({Category.ALL_BODY, Category.HATS}) == [Category.SHOES, Category.BAGS]
    assert missing_categories(set()) == [Category.TOPS, Category.BOTTOMS, Category.SHOES, Category.BAGS]


@pytest.mark.parametrize("endpoint", ["/recommend", "/evaluate"])
def test_a_broken_picture_of_the_catalog_is_named(client: TestClient, folder: Path, endpoint: str) -> None:
    (folder / "images" / "hats.png").write_bytes(b"broken")
    failed = client.post(endpoint, json={"items": [{"item_id": "item-hats"}]})
    error = failed.json()["error"]
    assert (failed.status_code, error["code"]) == (500, "invalid_data")
    assert "hats.png" in error["message"]
    assert client.post(endpoint, json={"items": [{"item_id": "item-shoes"}]}).status_code == 200


@pytest.mark.parametrize("endpoint", ["/recommend", "/evaluate"])
def test_an_unknown_item_is_the_callers_mistake(client: TestClient, endpoint: str) -> None:
    error = client.post(endpoint, json={"items": [SHIRT, {"item_id": "no-such-item"}]})
    assert (error.status_code, error.json()["error"]["code"]) == (400, "invalid_request")
    assert "no-such-item" in error.json()["error"]["message"]


def test_one_outfit_that_cannot_be_judged_does_not_cost_the_batch(part: Any) -> None:
    own = {"item_id": None, "category": "tops", "title": "A shirt", "image": None}
    unknown, known = ({**own, "item_id": name} for name in ("no-such-item", "item-hats"))
    answers = part.evaluate([{"items": [known]}, {"items": [unknown]}, {"items": [own]}])
    assert [one.get("score") for one in answers] == [0.5, None, 0.5]
    assert answers[1]["error"]["code"] == "invalid_request"
