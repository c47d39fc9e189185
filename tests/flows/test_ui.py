"""`aura ui` keeps its pages running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from aura.paths import repo_root
from aura.supervision import end_by_force
from tests.pages import addresses

HANG_SECONDS = 600


@pytest.mark.slow
@pytest.mark.timeout(3 * HANG_SECONDS)
def test_a_page_whose_server_is_killed_comes_back_at_the_same_address(own_home: Path) -> None:
    own_home.mkdir()
    log = own_home / "ui.log"
    environment = os.environ | {"PREFECT_API_URL": "https://prefect.test/api"}  # that page is not started here
    with log.open("w", encoding="utf-8") as stream:
        command = subprocess.Popen(
            [sys.executable, "-m", "flows.cli.app", "ui"], env=environment, cwd=repo_root(), stdout=stream,
            stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        wait_for("Ctrl+C stops them", log, command)
        page = addresses(log.read_text(encoding="utf-8"))["mlflow"].split("/#")[0]
        assert httpx.get(f"{page}/health", timeout=60, trust_env=False).text == "OK"
        family = psutil.Process(command.pid).children(recursive=True)
        end_by_force(family, after_seconds=0)
        psutil.wait_procs(family, timeout=60)
        wait_for("is started again", log, command)
        limit = time.monotonic() + HANG_SECONDS
        while not answers(f"{page}/health"):
            assert time.monotonic() < limit, log.read_text(encoding="utf-8")
            time.sleep(0.5)
    finally:
        command.terminate()
        command.wait(timeout=120)
    assert not answers(f"{page}/health")


def wait_for(text: str, log: Path, command: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + HANG_SECONDS
    while text not in (said := log.read_text(encoding="utf-8")):
        assert command.poll() is None, said
        assert time.monotonic() < limit, said
        time.sleep(0.2)


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=60, trust_env=False).is_success
    except httpx.HTTPError:
        return False
