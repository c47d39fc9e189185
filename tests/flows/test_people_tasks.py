"""The night's work in the services' database, on the real Prefect engine: with a database, without one, with one that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psycopg
import pytest
from prefect import flow
from prefect.testing.utilities import prefect_test_harness

from aura.paths import profile_paths
from aura.prepared_rows import write_rows
from aura.registry import Registry
from flows import night_steps
from flows.feedback import FeedbackCounts
from flows.night_steps import STEPS, Night, Step
from flows.people_tasks import NO_DATABASE
from flows.profile import load_profile
from flows.workspace import FEEDBACK, SAVED_OUTFITS, Workspace
from stores.database import Connection
from stores.encryption import TextCipher, keys_folder
from stores.feedback import FeedbackOf
from stores.local_server import LocalServer
from stores.users import Users
from tests.flows.test_feedback_of_nights import person
from tests.flows.test_feedback_of_nights import run as run_in
from tests.training.outfits.conftest import write_outfits


@pytest.fixture(scope="module", autouse=True)
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=300):
        yield


def night_of(*overrides: str, first: Step | None = None, names: Sequence[str] = ("feedback", "predictions")) -> Night:
    settings = load_profile("sample", ["night.retry_delay_seconds=0.01", "night.store_retries=1", *overrides])
    workspace = Workspace(profile_paths("sample"), settings)
    night = Night(workspace, Registry(settings.tracking, "sample"), "night-1", deadline=time.monotonic() + 600)

    @flow
    def run() -> None:
        # Each behind the one before it, as the other steps that they come after are left out.
        steps = {"first": first or Step(lambda _: None)}
        for name in names:
            steps[name] = Step(STEPS[name].work, after=(*steps,)[-1:])
        night.run(steps)
        del night.results["first"]

    run()
    return night


def test_without_a_database_the_night_says_so_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    night = night_of()
    assert (night.problems, night.results) == ({}, {"feedback": None, "predictions": None})
    assert NO_DATABASE in caplog.text
    assert not (night.workspace.folder / FEEDBACK).exists()


def test_feedback_is_taken_and_old_predictions_are_removed(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_DATABASE_URL", database_url)
    person(database_url, TextCipher(keys_folder()), "ada@example.org")
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO predictions SELECT now() - interval '1 day' * number, 'visual_analysis', 'analyze', '1', '{}', 0.1, "
            """'{"score": [0.5]}' FROM generate_series(0, 45) AS number"""
        )
        night = night_of()
        assert connection.execute("SELECT count(*) FROM predictions").fetchone() == (30,)
    assert night.problems == {}
    assert night.results["feedback"] == FeedbackCounts(new=5, up=1, down=1, corrected=2, photos=1, saved=1, rejected=1)
    assert {(drift.figure, drift.now, drift.before, drift.finding) for drift in night.results["predictions"]} == {
        ("score", 7, 23, "too few to tell"), ("seconds", 7, 23, "too few to tell"),
    }  # fmt: skip
    assert len((night.workspace.folder / FEEDBACK).read_text(encoding="utf-8").splitlines()) == 5


def test_saved_outfits_lie_there_for_their_training_alone(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_DATABASE_URL", database_url)
    cipher, read = TextCipher(keys_folder()), []

    async def save(connection: Connection) -> None:
        user = await Users(connection).add("ada@example.org", "hash")
        assert user is not None
        await Users(connection).set_consent(user.id, True)
        body = {"kind": "outfit", "verdict": "saved", "item_ids": ["tops-train-0", "tops-train-1"], "score": None}
        assert await FeedbackOf(connection, user.id, cipher).add("outfit", body, 10)

    run_in(database_url, lambda database: database.run(save))
    monkeypatch.setattr(night_steps, "_model", lambda _, night: read.append(file_of(night).read_text(encoding="utf-8")))

    def file_of(night: Night) -> Path:
        return night.workspace.folder / SAVED_OUTFITS / "outfits.jsonl"

    def prepared(night: Night) -> None:
        write_outfits(night.workspace.folder / "data")
        write_rows(night.workspace.folder / "data" / "catalog" / "catalog.jsonl", [])

    night = night_of(first=Step(prepared), names=("feedback", "saved outfits", "outfits"))
    assert night.problems == {}
    assert str(night.results["saved outfits"]) == "1 saved outfits of 1 people to train on"
    assert '"tops-train-0"' in read[0]
    assert file_of(night).read_text(encoding="utf-8") == ""


def test_a_database_of_the_home_is_started_for_the_night(own_home: Path) -> None:
    server = LocalServer(own_home / "postgres")
    with server.running(120, own_home / "logs" / "postgres.log"):
        pass
    night = night_of()
    assert night.problems == {}, "the schema is brought up to date as well"
    assert (night.results["feedback"], night.results["predictions"]) == (
        FeedbackCounts(new=0, up=0, down=0, corrected=0, photos=0, saved=0, rejected=0), [],
    )  # fmt: skip


def test_a_database_that_is_away_is_a_problem_of_the_report_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_DATABASE_URL", "postgresql://127.0.0.1:1/aura")
    night = night_of("serving.database.start_seconds=1")
    assert night.problems.keys() == {"feedback", "predictions"}
    assert "127.0.0.1:1" in night.problems["feedback"]
