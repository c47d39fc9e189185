"""The services record a sample of their answers, in figures, and answer whatever becomes of the database."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from _bentoml_sdk.service import set_current_service
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY
from psycopg.rows import dict_row

from bentos.serving import prediction_log
from bentos.serving.messages import ModelVersion, ReleaseVersions, RunnerAnswer
from bentos.serving.prediction_log import PredictionLog
from bentos.serving.settings import ServingSettings
from stores import schema
from stores.database import Database
from stores.local_server import LocalServer
from stores.settings import DatabaseSettings
from tests.bentos.accounts.test_database_away import postmaster
from tests.bentos.stub_assets import StubAssets
from tests.bentos.stub_services import SERVICES, picture_file

HANG_SECONDS = 120
ANSWER = RunnerAnswer(
    model=ModelVersion(name="detection", version="2"), release=ReleaseVersions(id="7", versions={"detection": "2"})
)
SECRET = "the colour of my grandmother's coat"


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < limit, "it never came to be"
        time.sleep(0.02)


def became(result: str) -> float:
    """How many predictions have had this result in this process."""
    return REGISTRY.get_sample_value("aura_predictions_total", {"result": result}) or 0.0


def rows(url: str) -> list[dict[str, Any]]:
    with psycopg.connect(url, row_factory=dict_row) as connection:
        return connection.execute("SELECT * FROM predictions ORDER BY made_at").fetchall()


@contextmanager
def recording(name: str, share: float = 1.0) -> Iterator[TestClient]:
    """A service whose answers come from a stand-in."""
    app, kind, runner = SERVICES[name]
    assets = StubAssets(
        serving=ServingSettings(predictions_share=share, cache_seconds=0, database=DatabaseSettings(work_seconds=1.0))
    )
    service = kind.inner(assets, runner())
    set_current_service(service)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
        assert client.portal is not None
        client.portal.call(service.close_predictions)
    set_current_service(None)


@pytest.fixture
def named_database(database_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("AURA_DATABASE_URL", database_url)
    return database_url


def ask(client: TestClient, name: str) -> int:
    if name == "visual_analysis":
        return client.post("/analyze", files={"image": picture_file()}).status_code
    if name == "outfit_recommendation":
        item = {"category": "tops", "title": SECRET}
        statuses = {
            client.post(path, json={"items": [item]}).status_code for path in ("/evaluate", "/recommend", "/outfits")
        }
        assert len(statuses) == 1
        return statuses.pop()
    return client.post("/chat", json={"messages": [{"role": "user", "content": SECRET}]}).status_code


def test_each_service_records_figures_and_nothing_that_was_sent(named_database: str) -> None:
    for name in SERVICES:
        with recording(name) as client:
            assert ask(client, name) == 200
    found = rows(named_database)
    by_endpoint = {row["endpoint"]: row for row in found}
    assert {row["service"] for row in found} == set(SERVICES)
    photo = by_endpoint["analyze"]
    assert photo["versions"] == {"detection": "1"}
    assert photo["figures"]["category"] == ["tops"]
    assert photo["figures"]["score"] == [0.9]
    assert 0 < photo["figures"]["brightness"][0] < 1
    assert photo["figures"]["megapixels"] == [24 * 16 / 1e6]
    assert by_endpoint["evaluate"]["figures"] == {"score": [0.5], "garments": [1], "category": ["tops"]}
    assert by_endpoint["outfits"]["figures"]["outfits"] == [3]
    assert by_endpoint["recommend"]["figures"]["score"][0] == 0.5
    chat = by_endpoint["chat"]["figures"]
    assert (chat["declined"], chat["best_similarity"], chat["finish_reason"]) == (["no"], [0.5], ["stop"])
    assert SECRET not in str(found)
    assert "Brown goes" not in str(found)
    assert all(row["seconds"] >= 0 for row in found)


def test_an_answer_of_the_cache_is_no_prediction_and_a_share_of_0_records_none(
    named_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with recording("visual_analysis", share=0.0) as client:
        assert ask(client, "visual_analysis") == 200
    assert rows(named_database) == []
    draws = SimpleNamespace(
        random=iter([0.3, 0.7, 0.49]).__next__
    )  # for the log alone: others draw from the module too
    monkeypatch.setattr(prediction_log, "random", draws)
    with recording("visual_analysis", share=0.5) as client:
        assert [ask(client, "visual_analysis") for _ in range(3)] == [200] * 3
    assert len(rows(named_database)) == 2


def test_a_service_that_ends_in_the_middle_of_a_write_writes_once(
    named_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Database.run

    async def answering_late(*args: Any) -> Any:
        answer = await run(*args)
        await asyncio.sleep(0.5)  # committed, and the log does not know it yet
        return answer

    monkeypatch.setattr(Database, "run", answering_late)
    monkeypatch.setattr(prediction_log, "_GATHER_SECONDS", 0.0)
    with recording("visual_analysis") as client:
        assert ask(client, "visual_analysis") == 200
        until(lambda: len(rows(named_database)) == 1)
    assert len(rows(named_database)) == 1


def test_without_a_database_nothing_is_recorded_and_nothing_is_missing() -> None:
    with recording("conversational_ai") as client:
        assert ask(client, "conversational_ai") == 200
        assert client.get("/health").json()["state"] == "ready"


@pytest.fixture
def own_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[LocalServer, ExitStack]]:
    """A server of this test alone, and what ends it."""
    monkeypatch.setattr(prediction_log, "_GATHER_SECONDS", 0.05)
    monkeypatch.setattr(prediction_log, "_CHECK_SECONDS", 0.2)
    monkeypatch.setattr(prediction_log, "_AGAIN_SECONDS", 0.2)
    server = LocalServer(tmp_path / "postgres")
    with ExitStack() as running:
        url = running.enter_context(server.running(HANG_SECONDS, tmp_path / "postgres.log"))
        schema.upgrade(url)
        monkeypatch.setenv("AURA_DATABASE_URL", url)
        yield server, running


@contextmanager
def gone(server: LocalServer, running: ExitStack) -> Iterator[None]:
    running.close()
    yield
    running.enter_context(server.running(HANG_SECONDS, server.folder.with_name("postgres.log")))


@contextmanager
def frozen(server: LocalServer, _running: ExitStack) -> Iterator[None]:
    main = postmaster(server)
    family = [main, *main.children(recursive=True)]
    for process in family:
        os.kill(process.pid, signal.SIGSTOP)
    yield
    for process in family:
        os.kill(process.pid, signal.SIGCONT)


def reasons(client: TestClient) -> list[str]:
    health = client.get("/health")
    assert health.status_code == 200
    found: list[str] = health.json()["reasons"]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("away", [gone, frozen], ids=lambda away: away.__name__)
def test_a_database_that_goes_away_costs_no_answer(
    own_server: tuple[LocalServer, ExitStack], away: Callable[..., AbstractContextManager[None]]
) -> None:
    recorded, dropped = became("recorded"), became("database_away")
    with recording("visual_analysis") as client:
        assert ask(client, "visual_analysis") == 200
        until(lambda: became("recorded") == recorded + 1)
        with away(*own_server):
            assert [ask(client, "visual_analysis") for _ in range(5)] == [200] * 5
            until(lambda: became("database_away") > dropped)
            assert reasons(client) == ["predictions are not recorded: the database does not answer"]
        until(lambda: reasons(client) == [])
        again = became("recorded")
        assert ask(client, "visual_analysis") == 200
        until(lambda: became("recorded") > again)


def test_health_says_that_the_schema_is_older(named_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_log, "_CHECK_SECONDS", 0.2)
    monkeypatch.setattr(prediction_log, "_AGAIN_SECONDS", 0.2)
    with psycopg.connect(named_database, autocommit=True) as connection, recording("visual_analysis") as client:
        connection.execute("ALTER TABLE predictions RENAME TO gone")
        until(lambda: "the schema of the database is older than this code" in str(reasons(client)))
        assert ask(client, "visual_analysis") == 200
        connection.execute("ALTER TABLE gone RENAME TO predictions")
        until(lambda: reasons(client) == [])


async def _noted(log: PredictionLog, number: int) -> None:
    for _ in range(number):
        log.note("analyze", ANSWER, 0.1, lambda: {"score": [0.5]})


def test_what_the_queue_has_no_room_for_is_dropped_and_counted(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "_WAITING", 7)

    async def run() -> None:
        log = PredictionLog("visual_analysis", 1.0, Database(database_url, DatabaseSettings(connections=1)))
        await _noted(log, 10)
        await log.close()

    before = became("queue_full")
    asyncio.run(run())
    assert became("queue_full") == before + 3
    assert len(rows(database_url)) == 7


def test_figures_that_cannot_be_made_cost_no_answer(database_url: str) -> None:
    async def run() -> None:
        log = PredictionLog("visual_analysis", 1.0, Database(database_url, DatabaseSettings(connections=1)))
        log.note("analyze", ANSWER, 0.1, lambda: {"score": [1 / 0]})
        await _noted(log, 1)
        await log.close()

    before = became("failed")
    asyncio.run(run())
    assert became("failed") == before + 1
    assert len(rows(database_url)) == 1
