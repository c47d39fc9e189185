"""Recommendations to somebody who has saved and rejected outfits: a real catalog and database, a stand-in network."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aura.taxonomy import Category
from bentos.serving.tokens import Caller
from stores.database import Database
from stores.encryption import TextCipher, keys_folder
from stores.feedback import FeedbackOf
from stores.settings import DatabaseSettings
from tests.bentos.outfit_recommendation.test_wishes_and_wardrobes import Service, own, serving
from tests.bentos.people import person

SHIRT = {"category": "tops", "title": "Mustard shirt"}


@pytest.fixture
def service(tmp_path: Path, database_url: str) -> Iterator[Service]:
    """A catalog of navy garments."""
    yield from serving(tmp_path, database_url, {})


@pytest.fixture
def ada(database_url: str) -> Caller:
    return person(database_url, "ada@example.org")


def rate(url: str, who: Caller, verdict: str, *item_ids: str) -> None:
    async def run() -> None:
        database = Database(url, DatabaseSettings())
        await database.open()
        body = {"kind": "outfit", "verdict": verdict, "item_ids": [*item_ids]}
        cipher = TextCipher(keys_folder())
        await database.run(lambda connection: FeedbackOf(connection, who.user_id, cipher).add("outfit", body, 100))
        await database.close()

    asyncio.run(run())


def allow(url: str, who: Caller) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("UPDATE users SET may_learn = true WHERE id = %s", (who.user_id,))


def recommended(service: Service, who: Caller | None, targets: tuple[str, ...] = ("shoes", "bottoms")) -> Any:
    answer = service.post("/recommend", who, items=[SHIRT], targets=targets)
    assert answer.status_code == 200, answer.text
    return answer.json()


def shifts(answer: Any, target: str) -> set[float]:
    return {round(item["shift"], 3) for item in answer["targets"][target]}


def test_ratings_move_items_by_what_they_have_and_say_so(service: Service, database_url: str, ada: Caller) -> None:
    everybodys = recommended(service, None)
    allow(database_url, ada)
    assert recommended(service, ada) == everybodys, "nothing has been rated"
    rate(database_url, ada, "rejected", "jeans", "party-shoes")
    rate(database_url, ada, "saved", "skirt")
    rate(database_url, ada, "rejected", "jeans", "an item of an older catalog")
    adas = recommended(service, ada)
    assert shifts(adas, "shoes") == {-0.01}
    for item in adas["targets"]["bottoms"]:
        assert item["reasons"][-1] == {
            "kind": "preference", "relation": None,
            "text": f"you rejected 2 outfits with navy bottoms and saved 1 outfit with navy bottoms ({item['shift']:+.3f})",
        }  # fmt: skip
    assert shifts(adas, "bottoms") == {-0.007}
    for target in ("shoes", "bottoms"):
        for hers, others in zip(adas["targets"][target], everybodys["targets"][target], strict=True):
            assert hers["outfit_score"] == others["outfit_score"], "a probability of the model stays what it is"


def test_a_garment_of_the_wardrobe_counts_and_may_be_in_a_rated_outfit(
    service: Service, database_url: str, ada: Caller
) -> None:
    allow(database_url, ada)
    boots = own(database_url, ada, Category.SHOES, "Navy boots")
    rate(database_url, ada, "saved", boots)
    [reason] = {
        reason["text"]
        for item in recommended(service, ada)["targets"]["shoes"]
        for reason in item["reasons"]
        if reason["kind"] == "preference"
    }
    assert reason == "you saved 1 outfit with navy shoes and own 1 navy garment (+0.012)"


def test_without_consent_and_for_others_the_ranking_is_everybodys(
    service: Service, database_url: str, ada: Caller
) -> None:
    everybodys = recommended(service, None)
    rate(database_url, ada, "rejected", "jeans")
    assert recommended(service, ada) == everybodys, "she does not allow it"
    allow(database_url, ada)
    eve = person(database_url, "eve@example.org")
    allow(database_url, eve)
    rate(database_url, eve, "saved", "bag")
    assert shifts(recommended(service, ada), "bottoms") == {-0.01}
    assert recommended(service, None) == everybodys, "what was answered to ada is kept for nobody"
    assert shifts(recommended(service, eve), "bottoms") == {0.0}


def test_where_ratings_cannot_be_read_everybody_gets_the_same_and_is_told(tmp_path: Path) -> None:
    caller = Caller(user_id=uuid.uuid4(), session_id=uuid.uuid4(), role="user")
    for service in serving(tmp_path, "postgresql://nobody@127.0.0.1:1/none", {}):
        answer = recommended(service, caller)
        assert answer["notes"] == ["your saved and rejected outfits could not be read: this is nobody's own ranking"]
        assert shifts(answer, "shoes") == {0.0}
        assert recommended(service, None)["notes"] == []
