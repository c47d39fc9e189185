"""What runs produce can be read by the account that runs them alone, however open its umask is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

from aura.paths import repo_root


def _open_to_others(path: Path) -> bool:
    return bool(stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO))


def test_a_command_makes_a_home_for_its_account_alone_and_closes_older_folders(own_home: Path) -> None:
    own_home.mkdir(mode=0o755)
    photos = own_home / "raw" / "ccp"
    photos.mkdir(mode=0o755, parents=True)
    subprocess.run(
        [sys.executable, "-m", "flows.cli.app", "models", "list"],
        cwd=repo_root(), env=os.environ | {"PYTHONPATH": str(repo_root())}, check=True, capture_output=True, umask=0o022,
    )  # fmt: skip
    made = sorted(own_home.iterdir())
    assert own_home / "mlflow" in made
    assert not [path.name for path in made if _open_to_others(path)]
    assert not _open_to_others(own_home / "mlflow" / "mlflow.db")
    assert _open_to_others(own_home), "the home itself may be any folder that somebody chose"
