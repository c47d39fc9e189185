"""What tests of the registry register."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura.artifact import write_json


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    """A folder with a file in it, and one below."""
    folder = tmp_path / "artifact"
    write_json(folder / "config.json", {"hidden": 4})
    write_json(folder / "nested" / "more.json", {})
    return folder
