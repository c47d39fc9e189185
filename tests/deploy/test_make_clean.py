"""`make clean` removes what can be made again, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from aura.paths import repo_root

_KEPT = (
    "mlflow/mlflow.db",
    "dvc/remote/object",
    "pipelines/sample/.git/HEAD",
    "raw/ccp/photo",
    "reports/sample/latest.md",
)


@pytest.mark.parametrize("home", ["var", "elsewhere"])
def test_models_nights_and_photos_stay(tmp_path: Path, home: str) -> None:
    for file in (repo_root() / "Makefile", *repo_root().glob("requirements*")):  # it looks for its lock file
        shutil.copyfile(file, tmp_path / file.name)
    again = (tmp_path / ".mypy_cache" / "x", tmp_path / home / "cache" / "converted")
    for file in (*again, *(tmp_path / home / name for name in _KEPT)):
        file.parent.mkdir(parents=True)
        file.touch()
    environment = os.environ | {"AURA_HOME": "" if home == "var" else str(tmp_path / home)}
    subprocess.run(["make", "clean"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert not [file for file in again if file.exists()]
    assert all((tmp_path / home / name).exists() for name in _KEPT)
