"""Wishes, reasons, whole outfits and garments of one's wardrobe over HTTP: a real catalog and database, a stand-in network."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from aura.taxonomy import Category
from bentos.accounts.access_tokens import AccessTokens
from bentos.accounts.pictures import Pictures, jpeg, pictures_folder
from bentos.outfit_recommendation.model import OutfitRunner
from bentos.outfit_recommendation.own_garments import READ_GARMENTS
from bentos.outfit_recommendation.service import OutfitRecommendation, app
from bentos.serving.auth import AuthRules
from bentos.serving.settings import ServingSettings
from bentos.serving.tokens import Caller
from inference.outfits.items import Item
from tests.bentos.outfit_recommendation.test_outfit_service import Client, Network
from tests.bentos.people import person
from tests.bentos.served_app import served_app
from tests.bentos.small_index import SmallIndex
from tests.bentos.stub_assets import StubAssets

TOKENS = AccessTokens("0123456789abcdef0123456789abcdef", 600)
ITEMS = {
    "office-shoes": Category.SHOES, "party-shoes": Category.SHOES, "plain-shoes": Category.SHOES,
    "jeans": Category.BOTTOMS, "skirt": Category.BOTTOMS, "dress": Category.ALL_BODY, "bag": Category.BAGS,
}  # fmt: skip
ATTRIBUTES = {
    "office-shoes": {"occasion": "office", "season": "winter", "colour": "red"},
    "party-shoes": {"occasion": "party", "season": "summer", "colour": "navy"},
    "jeans": {"occasion": "office", "season": "all-season", "style": "smart"},
    "skirt": {"occasion": "party", "season": "summer", "style": "smart"},
}
SHIRT = {"category": "tops", "title": "Mustard shirt"}


class Rating(Network):
    """Every garment is welcome, and the more the better."""

    def with_vectors(self, items: Sequence[Item]) -> list[Item]:
        from dataclasses import replace

        from inference.outfits.picture_titles import titled

        return [replace(titled(item), vector=np.ones(4, dtype=np.float32)) for item in items]

    def score(self, outfits: Sequence[Sequence[Item]]) -> list[float]:
        return [len(outfit) / 12 for outfit in outfits]


class WholeClient(Client):
    async def outfits(self, requests: list[Any]) -> Any:
        self.items, self.wardrobe = requests[0].items, requests[0].wardrobe
        return self._runner.outfits(requests)


@dataclass
class Service:
    """The service and what a caller does with it."""

    client: TestClient
    runner: WholeClient
    index: SmallIndex

    def post(self, path: str, who: Caller | None = None, **body: Any) -> Any:
        headers = {"authorization": f"Bearer {TOKENS.signed(who)}"} if who else {}
        return self.client.post(path, json=body, headers=headers)


def serving(tmp_path: Path, database_url: str, attributes: dict[str, dict[str, str]]) -> Iterator[Service]:
    index = SmallIndex(tmp_path / "built")
    index.publish(ITEMS, attributes=attributes, colour="#1b2440")
    (tmp_path / "champion").mkdir()
    assets = StubAssets(champion_folder=tmp_path / "champion", served_index=index.opened(), kept_in=index.uri)
    runner = WholeClient(OutfitRunner.inner(assets, lambda *_: Rating()))
    service = OutfitRecommendation.inner(StubAssets(), runner, database_url)
    with served_app(app, service, ServingSettings(), AuthRules(required=False, keys=TOKENS)) as client:
        yield Service(client, runner, index)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    yield from serving(tmp_path, "", ATTRIBUTES)


@pytest.fixture
def wardrobes(tmp_path: Path, database_url: str) -> Iterator[Service]:
    yield from serving(tmp_path, database_url, ATTRIBUTES)


@pytest.fixture
def ada(database_url: str) -> Caller:
    return person(database_url, "ada@example.org")


def own(url: str, who: Caller, category: Category, title: str, colour: str = "") -> str:
    """Put a garment into a wardrobe; with a picture in a colour where one is given."""
    content = jpeg(Image.new("RGB", (20, 20), colour)) if colour else None
    if content:
        Pictures(pictures_folder()).save(who.user_id, content)
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "INSERT INTO garments (user_id, category, title, picture_hash) VALUES (%s, %s, %s, %s) RETURNING id",
            (who.user_id, category.value, title, Pictures.hash_of(content) if content else None),
        ).fetchone()
    assert row is not None
    return str(row[0])


def shoes(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return sorted(item["item_id"] for item in answer.json()["targets"]["shoes"])


@pytest.mark.parametrize(
    ("wishes", "expected"),
    [
        ({}, ["office-shoes", "party-shoes", "plain-shoes"]),
        ({"occasion": "office"}, ["office-shoes", "plain-shoes"]),
        ({"season": "summer"}, ["party-shoes", "plain-shoes"]),
        ({"exclusions": {"colours": ["red"]}}, ["party-shoes", "plain-shoes"]),
        ({"exclusions": {"item_ids": ["plain-shoes"]}}, ["office-shoes", "party-shoes"]),
        ({"exclusions": {"categories": ["shoes"]}}, []),
    ],
)
def test_what_is_recommended_fits_the_wishes(service: Service, wishes: Any, expected: list[str]) -> None:
    assert shoes(service.post("/recommend", items=[SHIRT], targets=["shoes"], **wishes)) == expected


def test_a_budget_needs_prices(service: Service) -> None:
    answer = service.post("/recommend", items=[SHIRT], targets=["shoes"], budget=10)
    assert len(shoes(answer)) == 3
    assert answer.json()["notes"] == ["the catalog has no prices: budget was not used"]


def test_with_prices_a_budget_counts(tmp_path: Path) -> None:
    prices = {"office-shoes": {"price": "80"}, "party-shoes": {"price": "40"}, "jeans": {"price": "30"}}
    for service in serving(tmp_path, "", prices):
        answer = service.post("/recommend", items=[SHIRT], targets=["shoes"], budget=50)
        assert (shoes(answer), answer.json()["notes"]) == (["party-shoes"], [])
        assert answer.json()["targets"]["shoes"][0]["price"] == 40
        whole = service.post("/outfits", items=[SHIRT], budget=70, exclusions={"categories": ["bags"]}).json()
        [outfit] = whole["outfits"]
        assert (outfit["to_buy"], outfit["lacks"]) == (70, [])
        [scarce] = service.post("/outfits", items=[SHIRT], budget=60).json()["outfits"]
        assert scarce["lacks"] == ["shoes"], "what is left does not buy any"


def test_an_unknown_occasion_is_the_callers_mistake(service: Service) -> None:
    for path in ("/recommend", "/evaluate", "/outfits"):
        refused = service.post(path, items=[SHIRT], occasion="gala")
        assert (refused.status_code, refused.json()["error"]["hint"]) == (400, "it knows: office, party")


def test_an_evaluation_names_what_does_not_fit_and_what_the_garments_share(service: Service) -> None:
    items = [{"item_id": "jeans"}, {"item_id": "skirt"}, SHIRT]
    answer = service.post("/evaluate", items=items, occasion="office").json()
    assert answer["notes"] == ["Some bottoms is for the occasion party, not office"]
    assert [item["item_id"] for item in answer["items"]] == ["jeans", "skirt", None]
    assert {"kind": "style", "text": "Some bottoms and Some bottoms have the same style: smart", "relation": None} in (
        answer["reasons"]
    )


def test_a_colour_is_measured_in_the_items_picture(service: Service) -> None:
    """The catalog's pictures are navy, whatever the items' attributes say; a title is what people read, and is believed."""
    answer = service.post("/recommend", items=[SHIRT], targets=["shoes"], k=1).json()
    [reason] = answer["targets"]["shoes"][0]["reasons"]
    assert reason["text"] == "the mustard of Mustard shirt is the accent beside the navy of Some shoes, a neutral"
    unknown = service.post("/recommend", items=[{"category": "tops", "title": "A shirt"}], targets=["shoes"], k=1)
    assert unknown.json()["targets"]["shoes"][0]["reasons"] == []


def test_a_whole_outfit_says_where_each_piece_comes_from(service: Service) -> None:
    answer = service.post("/outfits", items=[SHIRT, {"item_id": "jeans"}], count=2)
    assert answer.status_code == 200, answer.text
    best, _ = answer.json()["outfits"]
    pieces = [(piece["source"], piece["item_id"]) for piece in best["pieces"]]
    assert pieces[:2] == [("request", None), ("request", "jeans")]
    assert {piece["category"] for piece in best["pieces"]} == {
        "tops", "bottoms", "shoes", "bags",
    }  # fmt: skip
    assert all(source == "catalog" for source, _ in pieces[2:])
    assert answer.json()["model"] == {"name": "outfits", "version": "1"}


@pytest.mark.parametrize("path", ["/recommend", "/evaluate", "/outfits"])
def test_a_garment_of_the_wardrobe_needs_its_owner(
    wardrobes: Service, database_url: str, ada: Caller, path: str
) -> None:
    garment = own(database_url, ada, Category.TOPS, "Blue linen shirt", "#2a56a8")
    items = [{"wardrobe_id": garment}]
    assert wardrobes.post(path, ada, items=items).status_code == 200
    [sent] = wardrobes.runner.items
    assert (sent.title, sent.wardrobe_id) == ("Blue linen shirt", garment)
    assert wardrobes.post(path, items=items).status_code == 401
    for who, garment_id in ((person(database_url, "eve@example.org"), garment), (ada, str(uuid.uuid4()))):
        refused = wardrobes.post(path, who, items=[{"wardrobe_id": garment_id}])
        assert refused.status_code == 400
        assert "your wardrobe has no garment" in refused.json()["error"]["message"]


def test_an_outfit_of_ones_own_garments_alone(wardrobes: Service, database_url: str, ada: Caller) -> None:
    shirt = own(database_url, ada, Category.TOPS, "Blue linen shirt", "#2a56a8")
    trousers = own(database_url, ada, Category.BOTTOMS, "Chinos", "#c0942c")
    own(database_url, person(database_url, "eve@example.org"), Category.SHOES, "Somebody else's shoes")
    answer = wardrobes.post("/outfits", ada, items=[{"wardrobe_id": shirt}], source="wardrobe").json()
    [outfit] = answer["outfits"]
    assert outfit["lacks"] == ["shoes"], "neither the catalog's nor anybody else's"
    assert [(piece["source"], piece["wardrobe_id"]) for piece in outfit["pieces"]] == [
        ("request", shirt), ("wardrobe", trousers),
    ]  # fmt: skip
    [reason] = outfit["pieces"][1]["reasons"]
    assert reason["relation"] == "complementary", "measured in the pictures"
    both = wardrobes.post("/outfits", ada, items=[{"wardrobe_id": shirt}], source="both").json()["outfits"][0]
    assert both["lacks"] == []
    assert {piece["source"] for piece in both["pieces"]} >= {"request", "catalog"}
    assert wardrobes.post("/outfits", items=[SHIRT], source="wardrobe").status_code == 401


def test_of_a_large_wardrobe_the_newest_are_used_and_the_answer_says_so(
    wardrobes: Service, database_url: str, ada: Caller
) -> None:
    for number in range(READ_GARMENTS + 1):
        own(database_url, ada, Category.HATS, f"Hat {number}")
    answer = wardrobes.post("/outfits", ada, items=[SHIRT], source="wardrobe").json()
    assert answer["notes"] == [f"of your wardrobe the newest {READ_GARMENTS} garments were looked at"]
    assert "Hat 0" not in [garment.title for garment in wardrobes.runner.wardrobe]


def test_a_picture_that_is_gone_leaves_the_title(wardrobes: Service, database_url: str, ada: Caller) -> None:
    garment = own(database_url, ada, Category.TOPS, "Blue linen shirt", "#2a56a8")
    Pictures(pictures_folder()).remove_all(ada.user_id)
    answer = wardrobes.post("/evaluate", ada, items=[{"wardrobe_id": garment}])
    assert (answer.status_code, answer.json()["items"][0]["title"]) == (200, "Blue linen shirt")


def test_without_a_database_a_wardrobe_is_refused_in_words_and_all_else_is_answered(service: Service) -> None:
    caller = Caller(user_id=uuid.uuid4(), session_id=uuid.uuid4(), role="user")
    refused = service.post("/recommend", caller, items=[{"wardrobe_id": str(uuid.uuid4())}])
    assert refused.status_code == 422, "trying again helps nobody"
    assert "this service knows no wardrobes: it has no database" in refused.json()["error"]["message"]
    assert "AURA_DATABASE_URL" in refused.json()["error"]["hint"]
    assert service.post("/recommend", items=[SHIRT]).status_code == 200


def test_a_database_that_is_away_is_named_by_health_and_inference_goes_on(tmp_path: Path) -> None:
    for service in serving(tmp_path, "postgresql://nobody@127.0.0.1:1/none", ATTRIBUTES):
        health = service.client.get("/health").json()
        assert health["state"] == "degraded"
        assert health["reasons"] == ["garments of wardrobes are not known: the database does not answer"]
        assert service.post("/recommend", items=[SHIRT]).status_code == 200
        caller = Caller(user_id=uuid.uuid4(), session_id=uuid.uuid4(), role="user")
        refused = service.post("/evaluate", caller, items=[{"wardrobe_id": str(uuid.uuid4())}])
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "database_unavailable")
