"""Retries, deadline, killed runs and heartbeat of a night, on the real Prefect engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect import flow, get_run_logger, task
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.runtime import flow_run
from prefect.states import Running, StateType
from prefect.testing.utilities import prefect_test_harness

from aura.errors import AuraError, BusyError, DeadlineError, RegistryUnavailableError, SettingsError
from aura.paths import profile_paths
from aura.registry import Registry
from flows import night_steps
from flows.heartbeat import beat
from flows.night_steps import STEPS, Night, Step
from flows.nightly import _mark_killed_run, nightly
from flows.profile import load_profile
from flows.worker import mark_crashed
from flows.workspace import Workspace


@pytest.fixture(scope="module", autouse=True)
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=300):
        yield


def make_night(seconds: float = 600.0, *overrides: str) -> Night:
    settings = load_profile("sample", ["night.retry_delay_seconds=0.01", "night.store_retries=3", *overrides])
    workspace = Workspace(profile_paths("sample"), settings)
    return Night(workspace, Registry(settings.tracking, "sample"), "night-1", deadline=time.monotonic() + seconds)


def count_attempts(error: AuraError, failures: int) -> tuple[int, str]:
    """Attempts of work that fails `failures` times, and its outcome."""
    tried: list[int] = []
    night = make_night()

    @task
    def work() -> str:
        tried.append(1)
        if len(tried) <= failures:
            raise error
        return "done"

    @flow
    def run() -> str:
        try:
            return str(night.store(work))
        except AuraError as caught:
            return caught.code

    outcome = run()
    return len(tried), outcome


@pytest.mark.parametrize("error", [RegistryUnavailableError("restarting"), BusyError("another holds it")])
def test_a_store_that_is_away_for_a_moment_is_waited_for(error: AuraError) -> None:
    assert count_attempts(error, failures=2) == (3, "done")
    assert count_attempts(error, failures=9) == (4, error.code)


def test_bad_settings_are_not_tried_again() -> None:
    assert count_attempts(SettingsError("no such key"), failures=1) == (1, "invalid_settings")


def test_each_try_waits_twice_as_long_as_the_one_before() -> None:
    options = make_night()._retry_options(3)
    assert options["retry_delay_seconds"] == [0.01, 0.02, 0.04]
    night = load_profile("sample").night
    assert sum(night.retry_delay_seconds * 2**attempt for attempt in range(night.store_retries)) > 120


def test_a_night_whose_time_is_over_begins_nothing_more_and_says_so() -> None:
    night = make_night(seconds=0)

    @flow
    def run() -> None:
        night.guarded("index", lambda: night.stage("index"))
        night.guarded("record", lambda: night.store(None))  # type: ignore[arg-type]

    run()
    assert set(night.problems) == {"index", "record"}
    assert all("480 minutes are over" in problem for problem in night.problems.values())
    with pytest.raises(DeadlineError):
        night.seconds_left()


def test_a_night_on_a_full_disk_begins_nothing_and_says_what_to_do() -> None:
    night = make_night(600.0, "night.free_space_gb=1e9")

    @flow
    def run() -> None:
        night.run(STEPS)

    run()
    assert set(night.problems) == {"free space"}
    assert "aura tidy" in night.problems["free space"]
    assert set(night.blocked) == set(STEPS) - {"free space"}
    assert not night.workspace.folder.exists()


def run_steps(night: Night, steps: dict[str, Step]) -> None:
    @flow
    def run() -> None:
        night.run(steps)

    run()


def test_steps_that_do_not_need_each_other_run_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=60)  # broken, and so an error, unless both come
    ended: list[str] = []

    @task
    def logged(name: str) -> str:
        get_run_logger().info("a task of a step finds the run that it belongs to")
        return name

    def meet(name: str) -> Callable[[Night], str]:
        def work(night: Night) -> str:
            meeting.wait()
            ended.append(name)
            return str(night.store(logged, name))

        return work

    night = make_night()
    last = Step(lambda _: ended.append("last"), needs=("one",), after=("other",))
    run_steps(night, {"one": Step(meet("one")), "other": Step(meet("other")), "last": last})
    assert night.problems == {}
    assert night.results == {"one": "one", "other": "other", "last": None}
    assert ended[-1] == "last"


def test_a_step_that_comes_after_a_failed_one_runs_and_one_that_needs_it_does_not() -> None:
    def fails(_: Night) -> None:
        raise SettingsError("no such key")

    night = make_night()
    steps = {
        "broken": Step(fails),
        "needs it": Step(lambda _: "ran", needs=("broken",)),
        "after it": Step(lambda _: "ran", after=("broken", "needs it")),
    }
    run_steps(night, steps)
    assert set(night.problems) == {"broken"}
    assert night.blocked == {"needs it": "broken"}
    assert night.results == {"broken": None, "after it": "ran"}


def test_one_at_a_time_where_the_settings_say_so() -> None:
    at_once: list[int] = []
    running = threading.Semaphore(0)

    def work(_: Night) -> None:
        running.release()
        time.sleep(0.05)
        at_once.append(running._value)
        running.acquire()

    run_steps(make_night(600.0, "night.side_by_side=1"), {name: Step(work) for name in "abc"})
    assert at_once == [1, 1, 1]


def test_an_interrupted_night_ends_its_stages_and_begins_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, began = threading.Event(), []
    monkeypatch.setattr(night_steps, "stop_running_stages", ended.set)

    def interrupted_while_the_other_runs(_: Night) -> None:
        raise KeyboardInterrupt

    night = make_night()
    # Without a flow, where it is the night's thread that is interrupted, as in a terminal, and not a step's.
    with pytest.raises(KeyboardInterrupt):
        night.run(
            {
                "long": Step(lambda _: ended.wait(60)),
                "interrupted": Step(interrupted_while_the_other_runs),
                "next": Step(lambda _: began.append("next"), after=("long",)),
            }
        )
    assert ended.is_set()
    assert began == []
    assert night.interrupted
    with pytest.raises(DeadlineError, match="interrupted"):
        night.seconds_left()


def test_a_run_that_died_is_marked_crashed_unless_it_is_this_very_one_tried_again() -> None:
    with get_client(sync_client=True) as client:

        @flow
        def night(died: str = "") -> str:
            _mark_killed_run(died or str(flow_run.id))
            return str(client.read_flow_run(flow_run.id).state_type.value)  # type: ignore[union-attr]

        killed = client.create_flow_run(night, state=Running())
        assert night(str(killed.id)) == "RUNNING"
        assert client.read_flow_run(killed.id).state_type == StateType.CRASHED
        assert night() == "RUNNING", "tried again from the page, it must not mark itself"
        assert night(str(uuid4())) == "RUNNING", "it reported to another server"


def test_a_server_that_refuses_to_mark_a_dead_run_costs_no_night(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Prefect does when the deployment of the run, and with it the slot, is gone."""
    with get_client(sync_client=True) as client:

        @flow
        def night() -> None: ...

        killed = client.create_flow_run(night, state=Running())

        def refuse(*_: Any, **__: Any) -> None:
            response = httpx.Response(500, request=httpx.Request("POST", "http://server.test/set_state"))
            error = httpx.HTTPStatusError("Internal Server Error", request=response.request, response=response)
            raise PrefectHTTPStatusError.from_httpx_error(error)

        monkeypatch.setattr(client, "set_flow_run_state", refuse)
        assert "does not mark it as crashed" in mark_crashed(client, killed.id, "the process was killed")
        monkeypatch.undo()
        assert mark_crashed(client, killed.id, "the process was killed") == ""
        assert mark_crashed(client, uuid4(), "it reported to another server") == ""
        assert client.read_flow_run(killed.id).state_type == StateType.CRASHED


@contextmanager
def switch(answers: list[int]) -> Iterator[tuple[str, list[str]]]:
    """A dead-man's switch that answers with these statuses in turn; its address, and the calls that it got."""
    calls: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            calls.append(self.path)
            self.send_response(answers[min(len(calls), len(answers)) - 1])
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/secret", calls
        server.shutdown()


@pytest.mark.parametrize(("answers", "calls", "heard"), [([200], 1, True), ([503, 200], 2, True), ([503], 4, False)])
def test_the_dead_mans_switch_is_called_until_it_answers(
    answers: list[int], calls: int, heard: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with switch(answers) as (url, received):

        @flow
        def run() -> bool:
            return beat(url, get_run_logger())

        assert run() is heard
        assert received == ["/secret"] * calls
    assert "secret" not in caplog.text, "the address could be used to silence the alarm"


def test_the_address_of_the_switch_is_written_down_nowhere() -> None:
    settings = load_profile("sample", ["night.heartbeat_url=https://switch.test/secret"])
    assert settings.night.heartbeat_url.get_secret_value() == "https://switch.test/secret"
    assert "secret" not in repr(settings)
    assert "secret" not in str(Workspace(profile_paths("sample"), settings).params())


def test_a_night_waits_for_a_command_until_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A maintenance with a slow remote, for example."""
    monkeypatch.setattr("flows.nightly.STEPS", {})
    lock = Workspace(profile_paths("sample"), load_profile("sample")).lock
    holds, may_end = threading.Event(), threading.Event()

    def command() -> None:
        with lock.held():
            holds.set()
            may_end.wait(120)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(command)
        assert holds.wait(60)
        with pytest.raises(BusyError, match="under way"):
            nightly("sample", ["night.deadline_minutes=0.05"])
        may_end.set()
