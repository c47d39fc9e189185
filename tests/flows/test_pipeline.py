"""Working copy, stages and recorded nights, on a toy pipeline with the real DVC and Git."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import filelock
import psutil
import pytest

from aura.artifact import write_json, write_text
from aura.errors import BusyError, DataError, StageError
from aura.paths import profile_paths, repo_root
from flows import stages
from flows.profile import load_profile
from flows.snapshots import night_tag, nights, record, restore
from flows.stages import run_stage
from flows.workspace import Workspace
from tests.processes import command_of

_TOY = """
stages:
  prepare:
    cmd: >-
      python -c "import os, pathlib, time;
      from aura.supervision import die_with_parent; die_with_parent();
      pathlib.Path('started').touch(); time.sleep(float(os.environ.get('TOY_SLEEP', 0)));
      p = pathlib.Path('data/toy'); p.mkdir(parents=True); (p / 'rows').write_text('seed ${seed}')"
    params:
      - params.yaml:
          - seed
    outs:
      - data/toy
  broken:
    cmd: python -c "import sys; print('about to fail'); sys.exit(4)"
    outs:
      - nothing
  refused:
    cmd: >-
      python -c "from aura.error_file import report_error; from aura.errors import DataError;
      raise SystemExit(report_error(DataError('row 3 has no category', hint='mend the row')))"
    outs:
      - nothing-at-last
  busy:
    cmd: >-
      python -c "from aura.error_file import report_error; from aura.errors import BusyError;
      raise SystemExit(report_error(BusyError('the index is being written')))"
    outs:
      - nothing-for-now
  killed:
    cmd: python -c "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    outs:
      - nothing-left
  unwritable:
    cmd: python -m dataprep.prepare --params params.yaml --out params.yaml/data
    outs:
      - nothing-new
  slow:
    cmd: python -c "import time; print('sleeping', flush=True); time.sleep(60)"
    outs:
      - nothing-either
  moving:
    cmd: python -c "from tqdm import tqdm; [print('epoch', n) for n in tqdm(range(40), mininterval=0)]; raise SystemExit(1)"
    outs:
      - nothing-at-all
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    file = tmp_path / "toy.yaml"
    file.write_text(_TOY, encoding="utf-8")
    return file


def open_toy(toy: Path, *overrides: str) -> Workspace:
    return Workspace(profile_paths("sample"), load_profile("sample", overrides), definition=toy)


@pytest.fixture
def workspace(toy: Path) -> Iterator[Workspace]:
    made = open_toy(toy)
    with made.lock.held():
        made.set_up()
        yield made


def test_a_stage_runs_once_and_again_only_when_its_inputs_change(workspace: Workspace, toy: Path) -> None:
    assert run_stage(workspace, "prepare", timeout_seconds=60).ran
    assert not run_stage(workspace, "prepare", timeout_seconds=60).ran
    other = open_toy(toy, "seed=8")
    other.set_up()
    assert run_stage(other, "prepare", timeout_seconds=60).ran
    assert (other.folder / "data" / "toy" / "rows").read_text(encoding="utf-8") == "seed 8"


def test_a_failed_stage_shows_the_end_of_its_output(workspace: Workspace) -> None:
    said: list[str] = []
    with pytest.raises(StageError, match="about to fail") as caught:
        run_stage(workspace, "broken", timeout_seconds=60, say=said.append)
    assert "broken.log" in caught.value.hint
    assert any("about to fail" in line for line in said)


def test_what_a_stage_reports_arrives_as_it_was_said(workspace: Workspace) -> None:
    with pytest.raises(StageError, match="stage refused failed: row 3 has no category") as caught:
        run_stage(workspace, "refused", timeout_seconds=60, say=lambda _: None)
    assert caught.value.hint.startswith("mend the row; the whole log: ")


@pytest.mark.parametrize(
    ("stage", "seconds", "transient"),
    [("refused", 60, False), ("busy", 60, True), ("killed", 60, True), ("broken", 60, True), ("slow", 6, True)],
)
def test_only_a_passing_fault_is_worth_another_try(
    workspace: Workspace, stage: str, seconds: float, transient: bool
) -> None:
    with pytest.raises(StageError) as caught:
        run_stage(workspace, stage, timeout_seconds=seconds, say=lambda _: None)
    assert caught.value.transient is transient


def test_a_place_that_a_stage_cannot_write_is_told_in_one_sentence(workspace: Workspace) -> None:
    with pytest.raises(StageError, match="cannot be used: Not a directory") as caught:
        run_stage(workspace, "unwritable", timeout_seconds=600, say=lambda _: None)
    assert len(caught.value.message.splitlines()) == 1
    assert "set AURA_HOME" in caught.value.hint
    assert not caught.value.transient


def test_what_dvc_itself_refuses_is_told_in_its_words(workspace: Workspace) -> None:
    with pytest.raises(StageError, match=r"no-such-stage.*not found"):
        run_stage(workspace, "no-such-stage", timeout_seconds=60, say=lambda _: None)


def test_the_log_of_a_failed_attempt_outlives_the_next_one(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = workspace.paths.logs / "broken.log"
    for attempt in (1, 2):
        with pytest.raises(StageError):
            run_stage(workspace, "broken", timeout_seconds=60, say=lambda _: None)
        assert log.read_text(encoding="utf-8").count("\nabout to fail") == attempt
    monkeypatch.setattr(stages, "_LOG_BYTES", 10)
    with pytest.raises(StageError):
        run_stage(workspace, "broken", timeout_seconds=60, say=lambda _: None)
    assert log.read_text(encoding="utf-8").count("\nabout to fail") == 1
    assert log.with_suffix(".log.1").read_text(encoding="utf-8").count("\nabout to fail") == 2


def test_a_progress_bar_is_a_line_now_and_then(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def bars() -> list[str]:
        said: list[str] = []
        with pytest.raises(StageError, match="epoch 39") as caught:
            run_stage(workspace, "moving", timeout_seconds=60, say=said.append)
        assert "it/s" not in caught.value.message, "the reason of a failure is not buried under a bar"
        return [line for line in said if "it/s" in line]

    assert not bars(), "it lasted for less than the interval"
    monkeypatch.setattr(stages, "_SAY_PROGRESS_SECONDS", 0.0)
    assert bars()


def test_a_stage_that_takes_too_long_is_ended_with_its_children(workspace: Workspace) -> None:
    began = time.monotonic()
    with pytest.raises(StageError, match="ran out of its"):
        run_stage(workspace, "slow", timeout_seconds=6)
    assert time.monotonic() - began < 40
    assert not [child for child in psutil.Process().children(recursive=True) if "sleep(60)" in command_of(child)]


def test_nights_are_recorded_and_restored(workspace: Workspace, toy: Path, tmp_path: Path) -> None:
    assert nights(workspace) == []
    run_stage(workspace, "prepare", timeout_seconds=60)
    assert record(workspace, "night-20260101-020000") == "night-20260101-020000"
    assert record(workspace, "night-20260102-020000") == "night-20260101-020000", "nothing changed, so no second record"
    other = open_toy(toy, "seed=9")
    other.set_up()
    run_stage(other, "prepare", timeout_seconds=60)
    record(other, "night-20260103-020000")
    assert [night.tag for night in nights(workspace)] == ["night-20260103-020000", "night-20260101-020000"]
    assert nights(workspace)[0].data["toy"] != nights(workspace)[1].data["toy"]
    old = restore(workspace, "night-20260101-020000", tmp_path / "old")
    assert (old / "data" / "toy" / "rows").read_text(encoding="utf-8") == "seed 7"
    with pytest.raises(DataError, match="exists already"):
        restore(workspace, "night-20260101-020000", old)
    with pytest.raises(DataError, match="no night 'night-x'; recorded: night-20260103"):
        restore(workspace, "night-x", tmp_path / "x")


def spoil(file: Path, damage: str) -> None:
    """`cut`: as a full disk leaves it, read-only as before, which DVC takes for whole."""
    mode = file.stat().st_mode
    file.chmod(0o644)
    if damage == "gone":
        file.unlink()
    elif damage == "changed":
        file.write_text("something else", encoding="utf-8")
    else:
        file.write_bytes(file.read_bytes()[:-1])
        file.chmod(mode)


@pytest.mark.parametrize("damage", ["gone", "changed", "cut"])
@pytest.mark.parametrize("part", ["*", "*.dir", "*[0-9a-f]"])
def test_what_is_damaged_in_the_cache_is_restored_from_the_remote(
    workspace: Workspace, tmp_path: Path, part: str, damage: str
) -> None:
    run_stage(workspace, "prepare", timeout_seconds=60)
    record(workspace, "night-20260101-020000")
    files = [path for path in (workspace.paths.home / "dvc" / "cache").rglob(f"files/md5/*/{part}") if path.is_file()]
    assert files
    for file in files:
        spoil(file, damage)
    back = restore(workspace, "night-20260101-020000", tmp_path / "back")
    assert (back / "data" / "toy" / "rows").read_text(encoding="utf-8") == "seed 7"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize(
    "kept", ["", "schema: '2", "schema: '2.0'\nstages:", "schema: '2.0'\nstages:\n  prepare:\n    cm"]
)
def test_a_lock_file_of_dvc_that_was_cut_off_stops_no_night(
    toy: Path, workspace: Workspace, kept: str, recorded: bool
) -> None:
    run_stage(workspace, "prepare", timeout_seconds=60)
    if recorded:
        record(workspace, "night-20260101-020000")
    lock = workspace.folder / "dvc.lock"
    assert lock.read_text(encoding="utf-8").startswith(kept)
    lock.write_text(kept, encoding="utf-8")
    workspace.set_up()
    assert lock.with_name("dvc.lock.damaged").is_file()
    run_stage(workspace, "prepare", timeout_seconds=60)
    again = open_toy(toy, "seed=8")
    again.set_up()
    assert run_stage(again, "prepare", timeout_seconds=60).ran
    assert record(again, "night-20260102-020000") == "night-20260102-020000"


@pytest.mark.parametrize("damage", ["gone", "changed", "cut"])
def test_a_night_whose_snapshots_are_not_what_was_recorded_is_not_restored(
    workspace: Workspace, tmp_path: Path, damage: str
) -> None:
    run_stage(workspace, "prepare", timeout_seconds=60)
    record(workspace, "night-20260101-020000")
    store = workspace.paths.home / "dvc"
    assert restore(workspace, "night-20260101-020000", tmp_path / "whole").is_dir()
    for file in [path for path in store.rglob("files/md5/*/*") if path.is_file()]:
        spoil(file, damage)
    with pytest.raises(DataError, match="night-20260101-020000 cannot be restored"):
        restore(workspace, "night-20260101-020000", tmp_path / "broken")
    assert not (tmp_path / "broken").exists()


def test_a_second_run_is_refused_and_says_which_process_is_at_work(workspace: Workspace, toy: Path) -> None:
    script = f"""
        from pathlib import Path
        from aura.paths import profile_paths
        from flows.profile import load_profile
        from flows.workspace import Workspace
        with Workspace(profile_paths("sample"), load_profile("sample"), definition=Path({str(toy)!r})).lock.held():
            pass
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        cwd=repo_root(),
        env=workspace.environment(),
    )
    assert done.returncode != 0
    assert f"BusyError: another run of profile 'sample' is under way (process {os.getpid()})" in done.stderr


def test_a_night_waits_for_a_command(toy: Path) -> None:
    """A backup at the hour of the night would cost it otherwise."""
    workspace = open_toy(toy)
    held, may_end = threading.Event(), threading.Event()

    def command() -> None:
        with open_toy(toy).lock.held():
            held.set()
            may_end.wait(60)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(command)
        assert held.wait(60)
        threading.Timer(3, may_end.set).start()  # longer than a run waits for a lock that is only looked at
        said: list[str] = []
        with workspace.lock.held("night", said.append, wait_seconds=60):
            assert may_end.is_set()
        assert said == [f"waiting for process {os.getpid()}, which uses the working copy, 60 s at most"]


def test_a_night_waits_for_a_command_that_ends_at_the_moment_it_looks(toy: Path) -> None:
    """Between its last word and the lock's release, a command says nothing of itself."""
    workspace = open_toy(toy)
    workspace.folder.mkdir(parents=True)
    ending = filelock.FileLock(workspace.folder / "run.lock", thread_local=False)
    ending.acquire()
    threading.Timer(3, ending.release).start()
    with workspace.lock.held("night", wait_seconds=60):
        assert not ending.is_locked


def test_a_command_keeps_the_trace_of_a_dead_run_for_the_night_that_can_act_on_it(toy: Path) -> None:
    workspace = open_toy(toy)
    workspace.folder.mkdir(parents=True)
    write_json(workspace.folder / ".holder.json", {"pid": 1, "run_id": "killed-night"})
    with workspace.lock.held() as died:
        assert died == "killed-night"
        assert workspace.lock.holders_run() == "", "the dead run does not hold the lock"
    with workspace.lock.held("next-night") as died:
        assert died == "killed-night"
        assert workspace.lock.holders_run() == "next-night"
    with workspace.lock.held("night-after") as died:
        assert died == ""
    write_text(workspace.folder / ".holder.json", "")  # as a power cut leaves it
    with workspace.lock.held("one-more") as died:
        assert died == ""


@pytest.mark.parametrize("left", ["", "{", "[]", '{"pid": "none", "run_id": 3}', '{"pid": null}'])
def test_a_holder_file_that_says_nothing_stops_no_night(toy: Path, left: str) -> None:
    workspace = open_toy(toy)
    workspace.folder.mkdir(parents=True)
    write_text(workspace.folder / ".holder.json", left)
    with workspace.lock.held("night") as died:
        assert died == ""
        write_text(workspace.folder / ".holder.json", left)
        assert workspace.lock.holder() is None
        assert workspace.lock.holders_run() == ""
        with pytest.raises(BusyError, match="process unknown"), workspace.lock.held("another"):
            pytest.fail("two at once")


def test_a_remote_that_does_not_take_snapshots_is_worth_another_try(workspace: Workspace) -> None:
    run_stage(workspace, "prepare", timeout_seconds=60)
    remote = workspace.paths.home / "dvc" / "remote"
    shutil.rmtree(remote)
    remote.write_text("no folder", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        record(workspace, "night-20260101-020000")
    assert caught.value.transient
    remote.unlink()
    assert record(workspace, "night-20260101-020000") == "night-20260101-020000"


def test_a_glance_at_the_lock_neither_fails_nor_stops_a_night(toy: Path) -> None:
    workspace = open_toy(toy)
    workspace.folder.mkdir(parents=True)
    glance = filelock.FileLock(workspace.folder / "run.lock", thread_local=False)
    glance.acquire()
    assert workspace.lock.holder() is None, "held, but no run has written the holder file"
    timer = threading.Timer(0.3, glance.release)
    timer.start()
    with workspace.lock.held():
        assert workspace.lock.holder() == os.getpid()
    timer.join()


def test_a_run_inside_a_git_hook_leaves_the_repository_of_the_hook(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "project")], check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "project" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "project" / ".git" / "index"))
    workspace = open_toy(toy)
    with workspace.lock.held():
        workspace.set_up()
        run_stage(workspace, "prepare", timeout_seconds=60)
        record(workspace, "night-20260101-020000")
        assert len(nights(workspace)) == 1
    assert not (tmp_path / "project" / ".git" / "index").exists()


def test_a_run_killed_in_the_middle_of_a_stage_is_carried_on(toy: Path) -> None:
    script = f"""
        from pathlib import Path
        from aura.paths import profile_paths
        from flows.profile import load_profile
        from flows.stages import run_stage
        from flows.workspace import Workspace
        workspace = Workspace(profile_paths("sample"), load_profile("sample"), definition=Path({str(toy)!r}))
        with workspace.lock.held():
            workspace.set_up()
            run_stage(workspace, "prepare", timeout_seconds=60)
    """
    workspace = open_toy(toy)
    environment = os.environ | {"TOY_SLEEP": "30", "PYTHONPATH": str(repo_root())}
    run = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], env=environment)
    limit = time.monotonic() + 60
    while not (workspace.folder / "started").exists() and time.monotonic() < limit:
        time.sleep(0.1)
    assert workspace.lock.holder() == run.pid
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    assert workspace.lock.holder() is None
    with workspace.lock.held():
        workspace.set_up()
        assert run_stage(workspace, "prepare", timeout_seconds=60).ran
    assert (workspace.folder / "data" / "toy" / "rows").read_text(encoding="utf-8") == "seed 7"


def test_busy_is_an_error_of_its_own_kind() -> None:
    assert BusyError.code == "busy"


def test_a_night_is_named_in_utc_as_the_schedule_is() -> None:
    summer = timezone(timedelta(hours=2))
    assert night_tag(datetime(2026, 7, 1, 1, 30, tzinfo=summer)) == "night-20260630-233000"
    assert night_tag(datetime(2026, 7, 1, 1, 30, tzinfo=UTC)) == "night-20260701-013000"
