"""`kill -9` in the middle of every stage of a night: the last one ends with what an undisturbed night ends with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from aura.paths import repo_root
from tests.e2e.conftest import World

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(3000)]

# What the stage's own process has on its command line, in the order of the night.
STAGES = {
    "prepare": "dataprep.prepare",
    "train_chat": "training.train chat",
    "evaluate_chat": "training.evaluate chat",
    "train_detection": "training.train detection",
    "evaluate_detection": "training.evaluate detection",
    "train_outfits": "training.train outfits",
    "evaluate_outfits": "training.evaluate outfits",
    "index": "inference.retrieval.build",
    "package": "flows.package",
}
_DVC_SECONDS = 2.0
"""Of a stage's time, before and after its own process."""


def results(world: World) -> dict[str, Any]:
    """What a night leaves for others: versions, metrics on the test split, the index."""
    folder = world.home / "pipelines" / "sample" / "metrics"
    metrics = {
        model: json.loads((folder / "test" / f"{model}.json").read_text()) for model in ("detection", "outfits", "chat")
    }
    index = json.loads((folder / "index.json").read_text())
    listed = json.loads(world.aura("models", "list", "--json").stdout)
    return {
        "versions": sorted(
            (
                version["model"],
                version["version"],
                version["tags"]["candidate_id"],
                version["tags"]["verdict"],
                *sorted(version["aliases"]),
            )
            for version in listed
        ),
        "metrics": {model: comparison["challenger"]["metrics"] for model, comparison in metrics.items()},
        "index": index["candidate"],
    }


def durations(world: World) -> dict[str, float]:
    """Seconds that each stage took, from the night's report."""
    report = (world.home / "reports" / "sample" / "latest.md").read_text(encoding="utf-8")
    return {stage: float(seconds) for stage, seconds in re.findall(r"^\| (\w+) \| (\d+) \|", report, re.MULTILINE)}


def kill_in(world: World, stage: str, after_seconds: float) -> None:
    log = world.home / f"killed-in-{stage}.log"
    with log.open("w", encoding="utf-8") as stream:
        night = subprocess.Popen(
            world.command("nightly"), env=world.environment, cwd=repo_root(), stdout=stream, stderr=subprocess.STDOUT
        )
    deadline = time.monotonic() + 300
    while not (worker := _worker(night.pid, STAGES[stage])):
        assert night.poll() is None, f"the night ended before {stage}:\n{log.read_text(encoding='utf-8')}"
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.1)
    limit = time.monotonic() + after_seconds
    while time.monotonic() < limit and worker.is_running():
        time.sleep(0.1)
    assert worker.is_running(), f"{stage} was over before it could be killed"
    family = psutil.Process(night.pid).children(recursive=True)
    os.kill(night.pid, signal.SIGKILL)
    night.wait()
    _, alive = psutil.wait_procs(family, timeout=20)
    assert not alive, [process.cmdline() for process in alive]


def _worker(pid: int, what: str) -> psutil.Process | None:
    for process in psutil.Process(pid).children(recursive=True) if psutil.pid_exists(pid) else []:
        try:
            line = process.cmdline()
        except psutil.Error:
            continue
        # The shell that DVC puts in between has the whole command as one argument.
        if what in " ".join(line[1:]) and not any(" -m " in part for part in line):
            return process
    return None


def test_a_night_killed_in_each_stage_ends_as_an_undisturbed_one(
    world: World, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # One step at a time: side by side, another stage than the one that is waited for may end the night.
    settings = (*world.settings, "night.side_by_side=1")
    undisturbed = World(tmp_path_factory.mktemp("undisturbed"), settings)
    calm = undisturbed.aura("nightly")
    assert calm.returncode == 0, calm.stdout + calm.stderr
    shaken = World(Path(tmp_path_factory.mktemp("shaken")), settings)
    took = durations(undisturbed)
    for stage in STAGES:
        kill_in(shaken, stage, max(0.5, (took[stage] - _DVC_SECONDS) / 2))
    last = shaken.aura("nightly")
    assert last.returncode == 0, last.stdout + last.stderr
    assert results(shaken) == results(undisturbed)
