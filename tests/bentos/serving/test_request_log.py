"""From which level on the services log."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from aura.errors import SettingsError
from bentos.serving.request_log import LEVEL, read_level

_PROGRAM = """
from bentos.serving.request_log import log_json_lines, logger
log_json_lines()
for level in ("debug", "info", "warning", "error"):
    getattr(logger, level)(level)
"""


@pytest.mark.parametrize(("level", "told"), [("", 3), ("debug", 4), ("INFO", 3), ("WARNING", 2), ("ERROR", 1)])
def test_what_is_below_the_level_is_not_logged(level: str, told: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], env=os.environ | {LEVEL: level}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == told


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsError, match="LOG_LEVEL is 'loud'") as refused:
        read_level({LEVEL: "loud"})
    assert "DEBUG, INFO, WARNING, ERROR" in refused.value.hint
