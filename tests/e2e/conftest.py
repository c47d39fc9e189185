"""One small night for all end-to-end tests: the real command, killed in the middle of a stage, then run again, then served."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from aura.paths import repo_root
from flows.processes import free_port
from tests.inference.chat.tiny_base import save_tiny_base
from tests.processes import command_of
from tests.small_night import SMALL

SERVICES = ("visual_analysis", "outfit_recommendation", "conversational_ai", "accounts")


@dataclass(frozen=True)
class World:
    """A home folder with settings, and the `aura` command in it."""

    home: Path
    settings: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("AURA_")}
        return kept | {"AURA_HOME": str(self.home), "COLUMNS": "160"}

    def command(self, *arguments: str, settings: bool = True) -> list[str]:
        overrides = [part for setting in self.settings for part in ("--set", setting)] if settings else []
        return [sys.executable, "-m", "flows.cli.app", *arguments, *overrides]

    def aura(self, *arguments: str, settings: bool = True) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments, settings=settings),
            env=self.environment, cwd=repo_root(), capture_output=True, text=True, timeout=1800,
        )  # fmt: skip


@dataclass(frozen=True)
class Nights:
    """What the terminal said: a night that was killed while the detector trained, the one after it, and an idle one.

    Attributes:
        killed_in: models that were being trained: the detector, and what trained beside it.
        checkout_before, checkout_after: `git status` of the project around the three.
    """

    world: World
    killed_in: list[str]
    left_running: list[str]
    second: subprocess.CompletedProcess[str]
    third: subprocess.CompletedProcess[str]
    checkout_before: str
    checkout_after: str


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    home = tmp_path_factory.mktemp("home")
    base = save_tiny_base(tmp_path_factory.mktemp("base"))
    ports = tuple(f"serving.ports.{name}={free_port()}" for name in SERVICES)
    return World(home, (*SMALL, f"chat.base={base}", *ports))


@pytest.fixture(scope="session")
def nights(world: World) -> Nights:
    before = _checkout()
    killed_in, left = _kill_a_night(world)
    second, third = world.aura("nightly"), world.aura("nightly")
    return Nights(world, killed_in, left, second, third, checkout_before=before, checkout_after=_checkout())


def _checkout() -> str:
    return subprocess.run(
        ["git", "status", "--porcelain"], cwd=repo_root(), capture_output=True, text=True, check=True
    ).stdout


def _kill_a_night(world: World) -> tuple[list[str], list[str]]:
    """Start a night and kill its process when the detector has a checkpoint; what was trained, and what went on running."""
    log = world.home / "first-night.log"
    with log.open("w", encoding="utf-8") as stream:
        night = subprocess.Popen(
            world.command("nightly"), env=world.environment, cwd=repo_root(), stdout=stream, stderr=subprocess.STDOUT
        )
    checkpoints = world.home / "pipelines" / "sample" / "checkpoints" / "detection"
    deadline = time.monotonic() + 1200
    while not list(checkpoints.glob("*/last.ckpt")):
        assert night.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.2)
    family = psutil.Process(night.pid).children(recursive=True)
    stages = [match[1] for process in family if (match := re.search(r"training\.train (\w+)", command_of(process)))]
    os.kill(night.pid, signal.SIGKILL)
    night.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    return stages, [" ".join(process.cmdline()) for process in alive]


@pytest.fixture(scope="session")
def urls(nights: Nights) -> Iterator[dict[str, str]]:
    """Addresses of the services, started from the champions."""
    world = nights.world
    log = world.home / "serve.log"
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            world.command("serve"), env=world.environment, cwd=repo_root(), stdout=stream, stderr=subprocess.STDOUT
        )
    deadline = time.monotonic() + 1200
    while "Ctrl+C stops them" not in log.read_text(encoding="utf-8"):
        assert process.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.5)
    prefix = "serving.ports."
    ports = dict(setting.removeprefix(prefix).split("=") for setting in world.settings if setting.startswith(prefix))
    yield {name: f"http://127.0.0.1:{ports[name]}/api/v1/{name.replace('_', '-')}" for name in SERVICES}
    process.send_signal(signal.SIGTERM)  # SIGINT is ignored when the tests run in the background of a shell
    process.wait(timeout=300)
    for name in SERVICES:
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{ports[name]}/readyz", timeout=2)
