"""The tiny service as an operator starts it: BentoML's supervisor, a process for the endpoints and one for the runner."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from aura.paths import repo_root
from aura.supervision import watched, watched_environment
from flows.processes import free_port, stop
from tests.bentos.serving.tiny_service import LOADED

HANG_SECONDS = 120
PREFIX = "/api/v1/tiny"


@dataclass
class Served:
    """A started service, whose model loads until `load` is called."""

    port: int
    folder: Path

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=60, trust_env=False)

    def answer(self, path: str, *statuses: int) -> httpx.Response:
        """The first answer with one of these statuses."""
        limit = time.monotonic() + HANG_SECONDS
        while time.monotonic() < limit:
            try:
                if (answer := self.get(path)).status_code in statuses:
                    return answer
            except httpx.ConnectError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"{path} never answered {statuses}:\n{self.log()}")

    def load(self) -> None:
        (self.folder / "loaded").touch()

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    def lines(self) -> list[dict[str, Any]]:
        """Lines of the log that are JSON, as all must be that our processes write after their first seconds."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]


@contextmanager
def serving(folder: Path, **environment: str) -> Iterator[Served]:
    """Start it with what else the environment holds; its model loads until `load` is called."""
    served = Served(free_port(), folder)
    whole = watched_environment() | {
        "BENTOML_HOME": str(folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "true", LOADED: str(folder / "loaded"),
        "PYTHONPATH": str(repo_root()),
    } | environment  # fmt: skip
    command = watched("bentoml", "serve", "tests.bentos.serving.tiny_service:Tiny", "--port", str(served.port))
    with (folder / "log").open("ab") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1"], stdout=log, stderr=subprocess.STDOUT, env=whole, cwd=repo_root(),
            start_new_session=True,
        )  # fmt: skip
    try:
        yield served
    finally:
        stop(server)
