"""The first opening of a store: several processes at once, and one that was cut off."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aura.creation import creating, unfinished
from aura.errors import BusyError
from aura.paths import repo_root
from aura.registry import Registry
from aura.tracking import TrackingSettings

_LIST = """
from aura.registry import Registry
from aura.tracking import TrackingSettings
print(Registry(TrackingSettings(), "sample").versions("detection"))
"""
_SERVE = """
from flows.prefect_server import prefect_api
with prefect_api(200) as url:
    import httpx
    print(httpx.get(f"{url}/health", timeout=60, trust_env=False).text)
"""


def run_at_once(script: str, processes: int) -> list[str]:
    environment = os.environ | {"PYTHONPATH": str(repo_root()), "PREFECT_LOGGING_LEVEL": "ERROR"}
    environment.pop("PREFECT_API_URL", None)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(processes)
    ]
    said = []
    for process in running:
        output, errors = process.communicate()
        assert process.returncode == 0, errors
        said.append(output.strip())
    return said


def test_several_processes_create_the_registry_of_a_fresh_home() -> None:
    assert run_at_once(_LIST, 4) == ["[]"] * 4


@pytest.mark.slow
def test_two_profiles_start_their_prefect_servers_on_a_fresh_home(own_home: Path) -> None:
    assert run_at_once(_SERVE, 2) == ["true"] * 2
    assert not unfinished(own_home / "prefect" / "prefect.db").exists()


def test_a_creation_that_was_cut_off_begins_again(own_home: Path) -> None:
    database = own_home / "mlflow" / "mlflow.db"

    def cut_off() -> None:
        with creating(database, 0):
            database.write_bytes(b"SQLite format 3\0, half of it")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert Registry(TrackingSettings(), "sample").versions("detection") == []
    assert not unfinished(database).exists()


def test_a_store_that_another_server_made_whole_is_kept_whatever_mark_was_left(tmp_path: Path) -> None:
    """As `prefect server start` by hand, which knows nothing of marks, after a night that was cut off."""
    database = tmp_path / "prefect.db"
    with pytest.raises(KeyboardInterrupt), creating(database, 0):
        raise KeyboardInterrupt
    database.write_text("weeks of runs")
    hours_ago = time.time() - 7200
    os.utime(unfinished(database), (hours_ago, hours_ago))
    with creating(database, 0):
        assert database.read_text() == "weeks of runs"
    assert not unfinished(database).exists()


def test_what_is_whole_is_kept_when_its_next_opening_fails(tmp_path: Path) -> None:
    database = tmp_path / "store.db"
    with creating(database, 0):
        database.write_text("rows")
    with pytest.raises(KeyboardInterrupt), creating(database, 0):
        raise KeyboardInterrupt
    with creating(database, 0):
        assert database.read_text() == "rows"


def test_who_waits_too_long_is_told_for_what(tmp_path: Path) -> None:
    with (
        creating(tmp_path / "store.db", 0),
        pytest.raises(BusyError, match=r"another process has been opening .*store\.db"),
    ):
        with creating(tmp_path / "store.db", 0):
            pytest.fail("two at once")
