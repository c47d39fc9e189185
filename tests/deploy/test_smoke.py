"""`deploy/smoke.sh` without an engine: its steps are there, and its settings are settings."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from aura.paths import repo_root
from flows.profile import load_profile

SCRIPT = repo_root() / "deploy" / "smoke.sh"
CLIENT = repo_root() / "deploy" / "smoke" / "client.py"
SETTINGS = repo_root() / "deploy" / "smoke" / "night.env"


def test_every_step_of_the_client_is_called() -> None:
    called = set(
        re.findall(r"\bclient ([a-z_]+)", re.sub(r"^#.*$", "", SCRIPT.read_text(encoding="utf-8"), flags=re.MULTILINE))
    )
    listed = subprocess.run([sys.executable, CLIENT], capture_output=True, text=True, timeout=120, check=False)
    assert listed.returncode == 2
    assert called == set(listed.stderr.partition(": ")[2].split())


def test_its_nights_have_settings_that_a_profile_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line for line in SETTINGS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for line in lines:
        monkeypatch.setenv(*line.split("=", 1))
    small = load_profile("sample")
    assert (small.data.sample.scenes, small.chat.lora.rank) == (60, 2)


@pytest.mark.parametrize("name", ["smoke.sh", "compose/backup.sh", "compose/restore.sh"])
def test_bash_reads_the_scripts_and_they_may_be_run(name: str) -> None:
    script = repo_root() / "deploy" / name
    assert script.stat().st_mode & 0o111
    assert subprocess.run(["bash", "-n", script], capture_output=True, text=True, check=False).stderr == ""


def test_a_wrong_option_is_answered_with_the_right_ones() -> None:
    done = subprocess.run([SCRIPT, "--wrong"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "--without" in done.stderr
