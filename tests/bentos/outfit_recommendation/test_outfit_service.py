"""The outfit service over HTTP and its runner on a real catalog, with a stand-in for the network."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from _bentoml_sdk.service import set_current_service
from fastapi.testclient import TestClient
from PIL import Image

from aura.taxonomy import CATEGORIES, Category
from bentos.outfit_recommendation.messages import (
    CompleteOutfit,
    Completions,
    Garment,
    Judgement,
    JudgeOutfit,
    RunnerStatus,
)
from bentos.outfit_recommendation.model import OutfitRunner
from bentos.outfit_recommendation.service import OutfitRecommendation, app
from bentos.serving.errors import Failure
from inference.outfits.items import Item
from tests.bentos.small_index import SmallIndex
from tests.bentos.stub_assets import StubAssets, made_by


class Network:
    """Answers in the right shapes."""

    def item_vectors(self, items: Sequence[Item]) -> np.ndarray:
        return np.eye(len(items), 4, dtype=np.float32)

    def embed_vectors(self, vectors: np.ndarray) -> np.ndarray:
        return vectors

    def with_vectors(self, items: Sequence[Item]) -> list[Item]:
        return [*items]

    def queries(self, outfits: Sequence[Sequence[Item]], targets: Sequence[Category]) -> np.ndarray:
        return np.ones((len(targets), 4), dtype=np.float32)

    def score(self, outfits: Sequence[Sequence[Item]]) -> list[float]:
        return [0.5 for _ in outfits]

    def strongest_words(self, first: Item, second: Item) -> tuple[str, str, float] | None:
        return None

    def judge(self, outfits: Sequence[Sequence[Item]]) -> list[tuple[float, list[float]]]:
        return [(0.5, [0.0 for _ in outfit]) for outfit in outfits]


ITEMS = {f"item-{category.value}": category for category in CATEGORIES}
"""One item of each category."""


@pytest.fixture
def small_index(tmp_path: Path) -> SmallIndex:
    index = SmallIndex(tmp_path / "built")
    index.publish(ITEMS)
    return index


@pytest.fixture
def champion(tmp_path: Path) -> Path:
    (tmp_path / "champion").mkdir()
    return tmp_path / "champion"


@pytest.fixture
def runner(small_index: SmallIndex, champion: Path) -> Any:
    assets = StubAssets(champion_folder=champion, served_index=small_index.opened(), kept_in=small_index.uri)
    return OutfitRunner.inner(assets, lambda *_: Network())


def test_a_new_champion_at_the_same_place_embeds_the_catalog_anew(small_index: SmallIndex, champion: Path) -> None:
    """Every Bento has its champion in the same folder, and all of them share one cache of embeddings."""

    class Scaled(Network):
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def item_vectors(self, items: Sequence[Item]) -> np.ndarray:
            embedded.append(self.factor)
            return super().item_vectors(items) * self.factor

    embedded: list[float] = []
    assets = StubAssets(champion_folder=champion, served_index=small_index.opened())
    shirt = Garment(category=Category.TOPS, title="A shirt")
    wanted = CompleteOutfit(items=[shirt], targets=[*Category], k=1)
    largest = []
    for factor in ("1", "2", "1"):
        (champion / "config.json").write_text(factor)
        runner = OutfitRunner.inner(assets, lambda folder, _: Scaled(float((folder / "config.json").read_text())))
        [found] = runner.recommend([wanted])
        assert isinstance(found, Completions)
        largest.append(max(item.similarity for items in found.targets.values() for item in items))
    assert largest == [1, 2, 1]
    assert embedded == [1, 2], "what was embedded once is taken from the cache"


class Client:
    """What BentoML's client of the runner offers."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self.items: list[Garment] = []
        self.request_ids: list[str] = []

    async def recommend(self, requests: list[CompleteOutfit]) -> Any:
        self.items, self.request_ids = requests[0].items, [*self.request_ids, requests[0].request_id]
        return await asyncio.to_thread(self._runner.recommend, requests)

    async def evaluate(self, outfits: list[JudgeOutfit]) -> Any:
        self.items, self.request_ids = outfits[0].items, [*self.request_ids, outfits[0].request_id]
        return await asyncio.to_thread(self._runner.evaluate, outfits)

    async def status(self) -> RunnerStatus:
        if self.request_ids:  # on its way out it answers what it has begun, and takes no more calls
            raise aiohttp.ServerDisconnectedError
        status: RunnerStatus = await self._runner.status()
        return status


@pytest.fixture
def runner_client(runner: Any) -> Client:
    return Client(runner)


@pytest.fixture
def client(runner_client: Client) -> Iterator[TestClient]:
    set_current_service(OutfitRecommendation.inner(StubAssets(), runner_client))
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
        ([SHIRT, *({"item_id": f"item-{name}"} for name in ("bottoms", "shoes", "bags"))], ["bags"]),
    ],
)
def test_without_targets_what_is_missing_is_recommended(
    client: TestClient, items: list[dict[str, str]], targets: list[str]
) -> None:
    answer = client.post("/recommend", json={"items": items, "k": 1}).json()
    assert list(answer["targets"]) == targets
    for category, found in answer["targets"].items():
        assert [item["category"] for item in found] == [category] * len(found)


def test_wanted_targets_are_what_is_recommended(client: TestClient) -> None:
    wanted = ["hats", "tops"]
    answer = client.post("/recommend", json={"items": [SHIRT], "targets": wanted}).json()
    assert list(answer["targets"]) == wanted


@pytest.mark.parametrize("endpoint", ["/recommend", "/evaluate"])
def test_a_broken_picture_of_the_catalog_is_named_in_the_log(
    client: TestClient, small_index: SmallIndex, endpoint: str, caplog: pytest.LogCaptureFixture
) -> None:
    small_index.publish({**ITEMS, "new-hats": Category.HATS}, broken=["new-hats"])
    failed = client.post(endpoint, json={"items": [{"item_id": "new-hats"}]})
    error = failed.json()["error"]
    assert (failed.status_code, error["code"]) == (500, "invalid_data")
    assert "hats.png" in caplog.text
    assert "hats" not in failed.text, "names of files are for the operator"
    assert client.post(endpoint, json={"items": [{"item_id": "item-shoes"}]}).status_code == 200


@pytest.mark.parametrize("endpoint", ["/recommend", "/evaluate"])
def test_an_unknown_item_is_the_callers_mistake(client: TestClient, endpoint: str) -> None:
    error = client.post(endpoint, json={"items": [SHIRT, {"item_id": "no-such-item"}]})
    assert (error.status_code, error.json()["error"]["code"]) == (400, "invalid_request")
    assert "no-such-item" in error.json()["error"]["message"]


def test_one_outfit_that_cannot_be_judged_does_not_cost_the_batch(runner: Any) -> None:
    own = Garment(category=Category.TOPS, title="A shirt")
    unknown, known = (Garment(item_id=name) for name in ("no-such-item", "item-hats"))
    answers = runner.evaluate([JudgeOutfit(items=[item]) for item in (known, unknown, own)])
    assert [answer.score if isinstance(answer, Judgement) else None for answer in answers] == [0.5, None, 0.5]
    assert isinstance(answers[1], Failure)
    assert answers[1].code == "invalid_request"


def test_wishes_of_several_callers_are_answered_each_with_its_own(runner: Any) -> None:
    shirt = Garment(category=Category.TOPS, title="A shirt")
    wishes = [
        CompleteOutfit(items=[shirt], targets=[Category.HATS, Category.BAGS], k=1),
        CompleteOutfit(items=[Garment(item_id="no-such-item")], targets=[Category.HATS], k=1),
        CompleteOutfit(items=[shirt], targets=[Category.SHOES], k=3),
    ]
    two, failed, one = runner.recommend(wishes)
    found = [
        {target: [item.item_id for item in items] for target, items in answer.targets.items()} for answer in (two, one)
    ]
    assert found == [
        {Category.HATS: ["item-hats"], Category.BAGS: ["item-bags"]},
        {Category.SHOES: ["item-shoes"]},
    ]
    assert failed.code == "invalid_request"


def test_health_says_how_many_items_there_are_to_choose_from(client: TestClient) -> None:
    assert client.get("/health").json() == {
        "state": "ready", "reasons": [], "profile": "sample", "model": {"name": "outfits", "version": "1"},
        "catalog_items": len(CATEGORIES), "index_version": "1", "release": made_by("outfits").model_dump(),
    }  # fmt: skip


@pytest.mark.parametrize("endpoint", ["/recommend", "/evaluate"])
def test_a_finished_answer_needs_no_second_call(client: TestClient, runner_client: Client, endpoint: str) -> None:
    answer = client.post(endpoint, json={"items": [SHIRT]}, headers={"x-request-id": "abc-1"})
    assert (answer.status_code, answer.json()["model"]) == (200, {"name": "outfits", "version": "1"})
    assert answer.json()["release"] == made_by("outfits").model_dump()
    assert answer.headers["x-aura-release"] == "1;index=1;outfits=1"
    assert runner_client.request_ids == ["abc-1"]
    assert client.get("/health").status_code == 503


@pytest.mark.parametrize("endpoint", ["/recommend", "/evaluate"])
def test_an_image_crosses_the_door_decoded(client: TestClient, runner_client: Client, endpoint: str) -> None:
    image = Image.effect_noise((5, 4), 50).convert("RGB")
    file = io.BytesIO()
    image.save(file, "PNG")
    sent = {"category": "tops", "image_base64": base64.b64encode(file.getvalue()).decode()}
    assert client.post(endpoint, json={"items": [sent]}).status_code == 200
    [item] = runner_client.items
    assert item.image is not None
    assert item.image.image().tobytes() == image.tobytes()
    refused = client.post(endpoint, json={"items": [SHIRT, sent | {"image_base64": "%%%"}]})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")
    assert "items.1.image_base64 is not base64" in refused.json()["error"]["message"]
