"""`aura backup` as a person runs it, in both ways: made while everything serves, lost, and restored at another path."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from aura.paths import repo_root
from flows.backup.contents import DATABASE, MLFLOW, PREFECT, sqlite_state
from flows.backup.repository import find, open_repository
from flows.backup.settings import BackupSettings
from flows.run_lock import RunLock
from tests.flows.backup.home import SAID, Answers, System, asked, fill

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
PEOPLE = 300
_STORES = ("index", "mlflow", "dvc", "pictures", "secrets", "pipelines", "raw", "prefect", "postgres")


@pytest.fixture(scope="module", params=[False, True], ids=["restic", "plain"])
def system(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> System:
    folder = tmp_path_factory.mktemp("system")
    made = System(folder / "home", folder / "repository", plain=request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURA_HOME", str(made.home))
        fill(made.home, folder, PEOPLE)
    return made


@pytest.fixture(scope="module")
def before(system: System) -> Answers:
    return asked(system.home, system.home.with_name("before"))


@pytest.fixture(scope="module")
def backup(system: System, before: Answers) -> str:
    """Id of a backup of what answers `before`."""
    assert before.counts == {"users": PEOPLE, "garments": PEOPLE, "conversations": PEOPLE, "messages": 2 * PEOPLE}
    said = system.done("create")
    assert before.release in said
    return said.partition(":")[0]


def listed(system: System) -> list[str]:
    return [backup["id"] for backup in json.loads(system.done("list", "--json"))]


def test_a_home_that_was_lost_answers_at_another_path_as_before(system: System, before: Answers, backup: str) -> None:
    assert listed(system) == [backup]
    moved = replace(system, home=system.home.with_name("another home"))
    gone = system.home.rename(system.home.with_name("gone"))  # nothing of the old path may be needed
    try:
        assert "is as it was at" in moved.done("restore", backup)
        assert asked(moved.home, moved.home.with_name("after")) == before
    finally:
        gone.rename(system.home)
    assert before.said == SAID
    assert sorted(path.name for path in moved.home.iterdir() if path.name in _STORES) == sorted(_STORES)
    modes = {path.stat().st_mode & 0o777 for path in (moved.home / "secrets").rglob("*.key")}
    assert modes == {0o600}
    assert [path for path in moved.home.iterdir() if path.name.startswith(".restoring-")] == []


def test_a_backup_says_what_it_holds_without_being_restored(
    system: System, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTIC_PASSWORD", system.password)
    repository = open_repository(BackupSettings(repository=str(system.repository), plain=system.plain), system.home)
    manifest = repository.manifest(find(repository, backup))
    assert "mlflow" in manifest.folders
    assert manifest.states.keys() == {DATABASE, MLFLOW, PREFECT}
    assert manifest.states[PREFECT] == sqlite_state(system.home / PREFECT)


def test_a_home_that_holds_something_is_refused(system: System, backup: str) -> None:
    refused = system.aura("restore", backup)
    assert refused.returncode == 2
    assert "holds index, dvc, mlflow" in refused.stderr
    assert "AURA_HOME=FOLDER" in refused.stderr


def test_what_is_not_there_is_told_with_what_is(system: System, backup: str) -> None:
    nowhere = replace(system, home=system.home.with_name("nowhere"))
    refused = nowhere.aura("restore", "no-such-id")
    assert refused.returncode == 2
    assert f"there are: {backup}" in refused.stderr


def test_a_night_that_runs_is_waited_for_in_words(system: System, backup: str) -> None:
    with RunLock(system.home / "pipelines" / "sample", "sample").held("a night"):
        refused = system.aura("create")
    assert refused.returncode == 2
    assert "another run of profile 'sample' is under way" in refused.stderr
    assert listed(system) == [backup]


def test_a_backup_that_is_killed_is_none(system: System, backup: str) -> None:
    """Killed when the first of many files have reached the repository."""
    many = system.home / "raw" / "many"
    many.mkdir()
    for number in range(800):
        (many / str(number)).write_bytes(os.urandom(200_000))
    try:
        before = _bytes(system.repository)
        process = subprocess.Popen(
            system.command("create"), env=system.environment, cwd=repo_root(), stdout=subprocess.DEVNULL,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        while _bytes(system.repository) < before + 1_000_000:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        family = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        for each in family:
            with suppress(psutil.NoSuchProcess):  # it may end by itself meanwhile
                if each.name() == "restic":
                    each.kill()
        assert listed(system) == [backup]
    finally:
        shutil.rmtree(many)
    second = system.done("create").partition(":")[0]
    assert listed(system) == [second, backup]
    assert [path for path in (system.home / "backups").iterdir() if path.name.startswith(".collecting-")] == []


def _bytes(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.path.getsize(os.path.join(root, name))
            except FileNotFoundError:
                continue
    return total


def test_what_was_changed_in_a_repository_is_found(system: System, backup: str) -> None:
    assert backup
    assert "are what was written" in system.done("verify")
    folder = system.repository / (listed(system)[0] if system.plain else "data")
    for file in (path for path in folder.rglob("*") if path.is_file() and path.stat().st_size > 1000):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.chmod(0o600)
        file.write_bytes(content)
    refused = system.aura("verify")
    assert refused.returncode == 2
    assert re.search("is damaged" if system.plain else "repository contains errors", refused.stderr)
    nowhere = replace(system, home=system.home.with_name("nowhere"))
    assert nowhere.aura("restore", "latest").returncode == 2
    assert not (nowhere.home / "pipelines").exists(), "nothing is put in its place before all of it is right"


def test_restic_needs_a_password_and_says_so(tmp_path: Path) -> None:
    refused = System(tmp_path / "home", tmp_path / "repository", plain=False, password="").aura("list")
    assert refused.returncode == 2
    assert "RESTIC_PASSWORD_FILE" in refused.stderr


def test_a_wrong_password_is_told_and_makes_no_second_repository(system: System, backup: str) -> None:
    assert backup
    if system.plain:  # nothing in it is encrypted
        assert backup in listed(replace(system, password="wrong"))
        return
    refused = replace(system, password="wrong").aura("create")
    assert refused.returncode == 2
    assert "wrong password" in refused.stderr


def test_an_address_needs_restic(tmp_path: Path) -> None:
    system = System(tmp_path / "home", Path("unused"), plain=True)
    environment = system.environment | {"AURA_BACKUP__REPOSITORY": "s3:https://store.example/aura"}
    refused = subprocess.run(system.command("list"), env=environment, cwd=repo_root(), capture_output=True, text=True)
    assert refused.returncode == 2
    assert "needs restic" in refused.stderr
