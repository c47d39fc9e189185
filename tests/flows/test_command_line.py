"""The command line answers at once, without the libraries that take seconds to import, and tells what is wrong in two lines."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aura.paths import repo_root


@pytest.mark.parametrize("module", ["flows.profile", "flows.cli.app", "training.models"])
def test_settings_load_without_the_heavy_libraries(module: str) -> None:
    heavy = ("torch", "transformers", "lightning", "mlflow", "lancedb", "prefect", "bentoml", "datasets", "skimage")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def aura(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli.app", *arguments],
        env=os.environ | {"PYTHONPATH": str(repo_root()), "COLUMNS": "500"} | variables,
        cwd=repo_root(), capture_output=True, text=True, timeout=250,
    )  # fmt: skip


def run(*arguments: str, **variables: str) -> list[str]:
    """Lines that a command which fails prints as its error."""
    done = aura(*arguments, **variables)
    assert done.returncode == 2, done.stdout + done.stderr
    return done.stderr.strip().splitlines()


@pytest.mark.parametrize(
    "arguments", [["models", "list"], ["models", "rollback", "detection"], ["releases", "list"], ["serve"]]
)
def test_a_store_that_cannot_be_used_is_told_in_two_lines(own_home: Path, arguments: list[str]) -> None:
    (own_home / "mlflow").mkdir(parents=True)
    (own_home / "mlflow" / "mlflow.db").write_bytes(b"no database " * 1000)
    error, hint = run(*arguments)
    assert error.startswith("error (not_in_registry): the MLflow store at sqlite:///")
    assert "its database is damaged" in error
    assert hint.startswith("hint: bring it back from a backup")


def test_status_tells_it_beside_what_it_still_knows(own_home: Path) -> None:
    (own_home / "mlflow").mkdir(parents=True)
    (own_home / "mlflow" / "mlflow.db").write_bytes(b"no database " * 1000)
    output = aura("status").stdout
    assert "its database is damaged" in output
    assert "not running" in output


@pytest.mark.parametrize("arguments", [["models", "list"], ["nightly"], ["train", "detection"], ["data", "prepare"]])
def test_a_home_that_is_no_folder_is_told_in_two_lines(own_home: Path, arguments: list[str]) -> None:
    own_home.write_text("a file", encoding="utf-8")
    error, hint = run(*arguments)
    assert str(own_home) in error
    assert "AURA_HOME" in hint


def test_a_prefect_server_that_does_not_answer_is_told_before_anything_begins(
    own_home: Path,
) -> None:
    for address, arguments in (
        ("http://127.0.0.1:9/api", ["nightly"]),
        ("no-address", ["nightly"]),
        ("no-address", ["alerts", "--url", "http://127.0.0.1:9"]),
    ):
        error, hint = run(*arguments, PREFECT_API_URL=address)
        assert f"no Prefect server answers at {address}" in error
        assert "PREFECT_API_URL" in hint
    assert not (own_home / "pipelines").exists()
