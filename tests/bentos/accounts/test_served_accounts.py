"""The service as `aura serve` starts it: with a database of the home, killed with everything else, and started again."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from aura.paths import repo_root
from aura.supervision import end_by_force, family_of
from flows.processes import free_port

pytestmark = pytest.mark.slow

HANG_SECONDS = 240
PASSWORD, TITLE, SAID = "SECRETPASSWORD-1", "SECRETTITLE linen shirt", "SECRETQUESTION?"


@contextmanager
def served(home: Path, port: int) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """A started service; whatever of it still runs at the end is killed."""
    environment = os.environ | {"AURA_HOME": str(home), "PYTHONPATH": str(repo_root())}
    options = [
        "--only",
        "accounts",
        "--set",
        f"serving.ports.accounts={port}",
        "--set",
        "serving.accounts.bcrypt_cost=4",
    ]
    with (home / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli.app", "serve", *options], env=environment, stdout=log, stderr=log,
            cwd=repo_root(),
        )  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1/accounts", timeout=60, trust_env=False) as client:
            limit = time.monotonic() + HANG_SECONDS
            while not _is_ready(client):
                assert process.poll() is None, (home / "serve.log").read_text()
                assert time.monotonic() < limit, (home / "serve.log").read_text()
                time.sleep(0.3)
            yield client, process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(HANG_SECONDS)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health").json()["state"] == "ready"
    except (httpx.HTTPError, KeyError, ValueError):
        return False


def signed_in(client: httpx.Client) -> dict[str, str]:
    answer = client.post("/token", data={"username": "ada@example.org", "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    secrets.append(answer.json()["access_token"])
    secrets.append(answer.json()["refresh_token"])
    return {"authorization": f"Bearer {secrets[-2]}"}


secrets: list[str] = []


def test_everything_killed_and_started_again_is_read_back_and_no_secret_is_in_a_log(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    port = free_port()
    with served(home, port) as (client, process):
        assert client.post("/register", json={"email": "ada@example.org", "password": PASSWORD}).status_code == 202
        headers = signed_in(client)
        assert client.post("/wardrobe", json={"category": "tops", "title": TITLE}, headers=headers).status_code == 201
        conversation = client.post("/conversations", headers=headers).json()["id"]
        said = {"messages": [{"role": "user", "content": SAID}]}
        assert client.post(f"/conversations/{conversation}/messages", json=said, headers=headers).status_code == 201
        assert (
            client.post("/token", data={"username": "ada@example.org", "password": f"{PASSWORD}x"}).status_code == 401
        )
        assert client.post("/register", json={"email": "ada@example.org", "password": PASSWORD, "x": PASSWORD}).is_error
        family = family_of(process.pid)
        end_by_force(family, after_seconds=0)
        assert not psutil.wait_procs(family, timeout=60)[1]
        process.wait()
    with served(home, port) as (client, _):
        headers = signed_in(client)
        [garment] = client.get("/wardrobe", headers=headers).json()["garments"]
        [message] = client.get(f"/conversations/{conversation}/messages", headers=headers).json()["messages"]
        assert (garment["title"], message["content"]) == (TITLE, SAID)
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=60, trust_env=False).text
    logs = [home / "serve.log", *(home / "logs").rglob("*.log")]
    assert len(logs) >= 3
    for text in (metrics, *(log.read_text(encoding="utf-8", errors="replace") for log in logs)):
        for secret in (PASSWORD, TITLE, SAID, *secrets):
            assert secret not in text
    for secret_file in (home / "secrets").rglob("*.*"):
        if secret_file.is_file():
            assert stat.S_IMODE(secret_file.stat().st_mode) == 0o600, secret_file
