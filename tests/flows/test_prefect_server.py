"""The Prefect server that a run or `aura ui` starts: on a free port, with a page that knows it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from aura.paths import repo_root
from flows.cli.ui import page_root
from flows.prefect_server import prefect_api
from tests.pages import addresses


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["PREFECT_UI_API_URL", "PREFECT_SERVER_UI_API_URL", None])
def test_its_page_calls_the_port_that_it_runs_on(monkeypatch: pytest.MonkeyPatch, variable: str | None) -> None:
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    if variable:  # set for another server
        monkeypatch.setenv(variable, "http://127.0.0.1:4200/api")
    with prefect_api(start_seconds=300) as url:
        settings = httpx.get(f"{page_root(url)}/ui-settings", timeout=60).json()
    assert settings["api_url"] == url


def test_pages_of_servers_elsewhere_are_named_and_nothing_is_started(own_home: Path) -> None:
    environment = os.environ | {
        "PREFECT_API_URL": "https://prefect.test/api/", "AURA_TRACKING__URI": "https://mlflow.test/", "COLUMNS": "160",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "flows.cli.app", "ui"], env=environment, cwd=repo_root(), capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert addresses(done.stdout) == {
        "mlflow": "https://mlflow.test/#/experiments?workflowType=machine_learning",
        "prefect": "https://prefect.test",
    }
    assert not (own_home / "logs").exists()
