"""For every test: a separate home folder, and no settings from the developer's environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from aura.proxies import exempt_loopback
from tests.postgres import database_url, empty_database, postgres_server

__all__ = ["database_url", "empty_database", "postgres_server"]

# Tests in parallel get a core each: more threads than cores wait for each other in spinning loops.
os.environ["OMP_NUM_THREADS"] = "1" if "PYTEST_XDIST_WORKER" in os.environ else os.environ.get("OMP_NUM_THREADS", "2")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DO_NOT_TRACK", "1")
exempt_loopback()  # the tests' own calls, on a developer's machine behind a proxy
# The same examples every time and no time limit for one: a run on a busy machine must not differ from another.
hypothesis.settings.register_profile("aura", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("aura")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`AURA_HOME` in the test's folder; other AURA_ variables are removed."""
    for name in [name for name in os.environ if name.startswith("AURA_") and name != "AURA_SHARED_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    """A command that is called in this process closes its files to others; the next test begins as a shell does."""
    before = os.umask(0o022)
    yield
    os.umask(before)
