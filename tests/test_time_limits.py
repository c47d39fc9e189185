"""A limit in a test bounds a hang: no machine is too slow for it, and nothing else is measured by it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

from aura.paths import repo_root

SHORTEST_SECONDS = 60
SHORTER = {
    "tests/aura/test_supervision.py": "what it waits for would end by itself after a minute",
    "tests/bentos/conversational_ai/test_chat_runner.py": "a stand-in looks again and again whether it may go on",
    "tests/bentos/conversational_ai/test_chat_socket.py": "a connection that is idle",
    "tests/dataprep/importers/test_import_interrupted.py": "what it waits for would end by itself",
    "tests/e2e/conftest.py": "a training that was left running would end by itself; nothing listens any more",
    "tests/e2e/test_killed_in_each_stage.py": "a stage that was left running would end by itself",
    "tests/e2e/test_services.py": "a caller that leaves before the answer",
    "tests/flows/test_pipeline.py": "a stage that takes too long",
}
"""Files with a limit that something must meet or exceed, and why it is short."""


def short_limits(file: Path) -> list[int]:
    """Lines of a test file with a limit in seconds below the shortest: `timeout=...`, or a moment that a loop waits until."""
    lines = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg and node.arg.endswith(("timeout", "timeout_seconds")):
            limit = node.value
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and "monotonic()" in ast.unparse(node.left):
            limit = node.right
        else:
            continue
        if isinstance(limit, ast.Constant) and isinstance(limit.value, int | float) and limit.value < SHORTEST_SECONDS:
            lines.append(limit.lineno)
    return lines


def test_no_limit_is_short_without_a_reason() -> None:
    files = sorted((repo_root() / "tests").rglob("*.py"))
    short = {file.relative_to(repo_root()).as_posix() for file in files if short_limits(file)}
    assert not short - SHORTER.keys(), f"give it {SHORTEST_SECONDS} seconds or more, or a reason here"
    assert not SHORTER.keys() - short, "no longer needed"


def test_the_limit_of_a_test_does_not_count_its_fixtures(tmp_path: Path) -> None:
    file = tmp_path / "test_limits.py"
    file.write_text(
        "import time, pytest\n\n"
        "@pytest.fixture(scope='session')\ndef night(): time.sleep(4)\n\n"
        "def test_after_a_night(night): pass\n\n"
        "def test_that_hangs(): time.sleep(600)\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", str(repo_root() / "pyproject.toml"), "--timeout=2", str(file)],
        cwd=tmp_path, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "test_limits.py:8: Failed" in done.stdout
    assert "Timeout (>2.0s) from pytest-timeout" in done.stdout
