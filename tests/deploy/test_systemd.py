"""The units of a box that runs the nights, as systemd reads them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aura.paths import repo_root

UNITS = sorted((repo_root() / "deploy" / "systemd").glob("*.service"))


def test_there_is_one_for_the_server_and_one_for_the_worker() -> None:
    assert [unit.stem for unit in UNITS] == ["aura-prefect-server", "aura-prefect-worker"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_finds_nothing_to_complain_about(unit: Path, tmp_path: Path) -> None:
    for other in UNITS:
        # As the manual says for a checkout elsewhere; systemd wants the command to exist.
        text = other.read_text(encoding="utf-8")
        text = text.replace("/opt/aura/.venv", sys.prefix).replace("/opt/aura", str(repo_root()))
        (tmp_path / other.name).write_text(text.replace("=aura\n", "=root\n"), encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / unit.name)], capture_output=True, text=True, timeout=300
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
