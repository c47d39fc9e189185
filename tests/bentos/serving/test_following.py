"""A runner follows the release: what is new is tested beside what serves, and a request keeps what it began with."""

from __future__ import annotations

import gc
import signal
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import dataclass, replace
from typing import Any

import pytest

from aura.errors import (
    AuraError,
    IndexNotReadyError,
    IndexUnavailableError,
    RegistryUnavailableError,
    WrongAnswerError,
)
from aura.paths import repo_root
from aura.releases import IndexVersion, Release
from bentos.serving import following
from bentos.serving.following import Following, Loaded
from tests.bentos.stub_assets import RELEASE, StubAssets


class Model:
    """Something whose end can be seen."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts(Loaded):
    model: Model


class Assets(StubAssets):
    """Assets whose registry can be away."""

    away = False

    def release(self) -> Release:
        if self.away:
            raise RegistryUnavailableError("no MLflow server answers")
        return super().release()


class Loader:
    """Loads a release, or fails as the test says."""

    def __init__(self) -> None:
        self.tried: list[int] = []
        self.fails: dict[int, Exception] = {}

    def __call__(self, release: Release, index: Any, before: Parts | None) -> Parts:
        self.tried.append(release.number)
        if release.number in self.fails:
            raise self.fails[release.number]
        model = before.model if before and before.has_model_of(release) else Model()
        return Parts(release=release, model_name="chat", index=index, model=model)


SECOND = replace(RELEASE, number=2, models={**RELEASE.models, "chat": "2"}, replaced=1)


@pytest.fixture
def assets() -> Assets:
    return Assets(before=RELEASE)


@pytest.fixture
def loader() -> Loader:
    return Loader()


@pytest.fixture
def followed(assets: Assets, loader: Loader) -> Following[Parts]:
    """Does not look by itself."""
    return Following(assets, "chat", assets.index, loader)


class BeforeTheFirstNight(StubAssets):
    """Assets whose release gets its models when it is asked for the third time."""

    asked = 0

    def release(self) -> Release:
        self.asked += 1
        return RELEASE if self.asked > 2 else Release(number=1)


def test_before_the_first_night_a_runner_waits_for_its_model(
    loader: Loader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.01)
    caplog.set_level("INFO")
    before = signal.getsignal(signal.SIGTERM)
    assets = BeforeTheFirstNight(follows=True)
    followed = Following(assets, "chat", assets.index, loader)
    assert followed.now().version.version == "1"
    assert (followed.degraded, loader.tried) == ([], [1])
    assert caplog.text.count("waiting for the first night") == 1
    assert signal.getsignal(signal.SIGTERM) is before


_WAITS = """
import signal, threading
from aura.releases import Release
from bentos.serving.following import Following
from tests.bentos.stub_assets import StubAssets
signal.signal(signal.SIGTERM, lambda *_: None)  # as the server that is starting, which only notes it
class Assets(StubAssets):
    def release(self):
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            print("waiting", flush=True)
        return Release(number=1)
assets = Assets(follows=True)
Following(assets, "chat", assets.index, None)
"""


def test_a_runner_that_waits_for_its_model_ends_at_a_signal() -> None:
    with subprocess.Popen([sys.executable, "-c", _WAITS], cwd=repo_root(), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
        process.terminate()
        try:
            assert process.wait(60) == -signal.SIGTERM
        finally:
            process.kill()


def test_a_request_keeps_what_it_began_with_and_that_is_freed_with_it(
    assets: Assets, followed: Following[Parts], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "KEEP_SECONDS", 0.0)
    request = followed.now()
    freed = threading.Event()
    weakref.finalize(request.model, freed.set)
    assets.serves = SECOND
    followed.look()
    followed.look()
    assert (request.versions.id, followed.now().versions.id) == ("1", "2")
    gc.collect()
    assert not freed.is_set()
    del request
    gc.collect()
    assert freed.is_set()


def test_what_did_not_change_is_taken_over(assets: Assets, followed: Following[Parts]) -> None:
    model = followed.now().model
    assets.serves = replace(SECOND, models={**RELEASE.models, "detection": "7"})
    followed.look()
    assert followed.now().model is model
    assert followed.now().versions.id == "2"


def test_the_next_part_of_an_answer_is_made_from_the_release_of_its_first_part(
    assets: Assets, followed: Following[Parts], monkeypatch: pytest.MonkeyPatch
) -> None:
    assets.serves = SECOND
    followed.look()
    assert [followed.of(number).versions.id for number in ("1", "2", "", "7")] == ["1", "2", "2", "2"]
    followed.look()
    assert followed.of("1").versions.id == "1"
    monkeypatch.setattr(following.time, "monotonic", lambda: time.perf_counter() + 10**9)
    followed.look()
    assert followed.of("1").versions.id == "2", "it is not kept for ever"


def test_a_broken_release_never_serves_is_told_once_and_not_tried_until_there_is_another(
    assets: Assets, followed: Following[Parts], loader: Loader, caplog: pytest.LogCaptureFixture
) -> None:
    loader.fails[2] = WrongAnswerError("it answers otherwise")
    assets.serves = SECOND
    for _ in range(3):
        followed.look()
    assert followed.now().versions.id == "1"
    assert loader.tried == [1, 2]
    assert caplog.text.count("it answers otherwise") == 1
    assert followed.degraded == ["answers stay with release 1: release 2 cannot serve; the log says why"]
    assets.serves = replace(RELEASE, number=3)
    followed.look()
    assert (followed.now().versions.id, followed.degraded) == ("3", [])


def test_a_bug_while_loading_leaves_what_serves(assets: Assets, followed: Following[Parts], loader: Loader) -> None:
    loader.fails[2] = RuntimeError("shapes do not match")
    assets.serves = SECOND
    followed.look()
    followed.look()
    assert (followed.now().versions.id, loader.tried) == ("1", [1, 2])


@pytest.mark.parametrize("failure", [RegistryUnavailableError("restarting"), OSError(28, "No space left on device")])
def test_what_another_try_may_mend_is_tried_again(
    assets: Assets, followed: Following[Parts], loader: Loader, failure: Exception, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    loader.fails[2] = failure
    assets.serves = SECOND
    followed.look()
    followed.look()
    assert loader.tried == [1, 2], "not before a pause"
    monkeypatch.setattr(following, "RETRY_SECONDS", 0.0)
    assets.serves = replace(SECOND, number=4)
    loader.fails[4] = failure
    for _ in range(3):
        followed.look()
    assert loader.tried == [1, 2, 4, 4, 4]
    assert caplog.text.count("release 4") == 1
    loader.fails.clear()
    followed.look()
    assert (followed.now().versions.id, followed.degraded) == ("4", [])


def test_a_registry_that_is_away_changes_nothing_and_is_told_after_a_while(
    assets: Assets, followed: Following[Parts], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assets.follows, assets.away = True, True
    for _ in range(3):
        followed.look()
    assert (followed.now().versions.id, followed.degraded) == ("1", [])
    assert caplog.text.count("cannot see which release serves") == 1
    monkeypatch.setattr(following, "AWAY_SECONDS", 0.0)
    assert "the registry has not answered" in followed.degraded[0]
    monkeypatch.undo()
    assets.away, assets.serves = False, SECOND
    followed.look()
    assert (followed.now().versions.id, followed.degraded) == ("2", [])


def test_a_process_that_starts_with_a_broken_release_answers_from_the_one_before(
    assets: Assets, loader: Loader
) -> None:
    loader.fails[2] = WrongAnswerError("it answers otherwise")
    assets.serves = SECOND
    followed = Following(assets, "chat", assets.index, loader)
    assert followed.now().versions.id == "1"
    assert "release 2 cannot serve" in followed.degraded[0]
    followed.look()
    assert loader.tried == [2, 1]
    assets.before = None
    with pytest.raises(AuraError, match="answers otherwise"):
        Following(assets, "chat", assets.index, loader)


def test_a_process_that_starts_while_the_registry_is_away_answers_from_what_served_here_last(
    assets: Assets, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets.follows, assets.away = True, True
    with pytest.raises(RegistryUnavailableError):
        Following(assets, "chat", assets.index, loader)
    assets.away, assets.serves = False, SECOND
    Following(assets, "chat", assets.index, loader)
    assets.away = True
    followed = Following(assets, "chat", assets.index, loader)
    assert followed.now().versions.id == "2"
    monkeypatch.setattr(following, "AWAY_SECONDS", 0.0)
    assert "the registry has not answered" in followed.degraded[0]
    assets.away = False
    followed.look()
    assert followed.now().versions.id == "2"


class Index:
    """An index of a release, in a folder."""

    is_remote = False

    def __init__(self, version: int) -> None:
        self.version = version


@pytest.mark.parametrize(
    ("failure", "reasons"),
    [
        (
            IndexUnavailableError("no answer"),
            ["passages and items may not be found: the object store of the index does not answer"],
        ),
        (IndexNotReadyError("a file is missing"), []),  # a runner says itself that it has none
    ],
)
def test_a_process_that_starts_without_an_index_that_can_be_read_answers_without_it(
    assets: Assets, loader: Loader, failure: Exception, reasons: list[str]
) -> None:
    assets.before, assets.served_index = None, failure
    followed = Following(assets, "chat", assets.index, loader)
    assert (followed.now().index, followed.degraded) == (None, reasons)
    assets.served_index = Index(1)
    if not reasons:  # a damaged one is not opened again, until there is another release
        followed.look()
        assert followed.now().index is None
        assets.serves = SECOND
    followed.look()
    assert (followed.now().index, followed.degraded) == (assets.served_index, [])


def test_a_new_release_does_not_wait_for_a_store_that_is_away(
    assets: Assets, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Remote(Index):
        is_remote = True

        def probe(self) -> None:
            asked.append(followed.now().versions.id)

    monkeypatch.setattr(following, "INDEX_SECONDS", 0.0)
    assets.served_index = Remote(1)
    followed = Following(assets, "chat", assets.index, loader)
    assets.serves = SECOND
    followed.look()
    assert asked == ["2"]


def test_a_damaged_index_at_the_start_is_that_of_a_broken_release(assets: Assets, loader: Loader) -> None:
    whole = Index(1)

    def opened(release: Release) -> Any:
        if release == SECOND:
            raise IndexNotReadyError("a file is missing")
        return whole

    assets.serves = SECOND
    followed = Following(assets, "chat", opened, loader)
    assert (followed.now().versions.id, followed.now().index) == ("1", whole)
    assert followed.degraded == ["answers stay with release 1: release 2 cannot serve; the log says why"]


def test_an_answer_names_its_versions(followed: Following[Parts]) -> None:
    index: Any = type("Index", (), {"version": 5})()
    served = replace(followed.now(), release=replace(RELEASE, index=IndexVersion(number=5)), index=index)
    assert served.versions.model_dump() == {"id": "1", "versions": {"chat": "1", "index": "5"}}
    assert served.versions.header() == "1;chat=1;index=5"
    assert replace(served, release=replace(RELEASE, number=0)).versions.id == ""


def test_a_thread_looks_by_itself_and_outlives_bugs(
    assets: Assets, loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "POLL_SECONDS", 0.01)
    assets.follows = True
    seen: list[Release] = []

    def release() -> Release:
        seen.append(assets.serves)
        if len(seen) == 2:
            raise KeyError("a bug")
        return assets.serves

    monkeypatch.setattr(assets, "release", release)
    followed = Following(assets, "chat", assets.index, loader)
    assets.serves = SECOND
    deadline = time.monotonic() + 60
    while followed.now().versions.id != "2":
        assert time.monotonic() < deadline
        time.sleep(0.005)
