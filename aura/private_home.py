"""What runs produce belongs to the account that runs them: photos of people, conversations, models, logs."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

from aura.paths import home

_PRIVATE_UMASK = 0o077
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_FOLDERS = (
    "bentoml", "cache", "dvc", "index", "locks", "logs", "mlflow", "pictures", "pipelines", "postgres", "prefect",
    "raw", "reports", "secrets", "serving",
)  # fmt: skip
"""Folders of a home that may be older than this rule. The home itself may be any folder that somebody chose."""


def keep_private() -> None:
    """Let this process and what it starts make files for this account alone, and close the home folder's older ones.

    Every process that writes below the home folder calls it first.
    """
    os.umask(_PRIVATE_UMASK)
    for name in _FOLDERS:
        with suppress(FileNotFoundError, PermissionError):  # another account's folder is closed by that account
            _close(home() / name)


def _close(folder: Path) -> None:
    mode = stat.S_IMODE(folder.stat().st_mode)
    if mode & _OTHERS:
        folder.chmod(mode & ~_OTHERS)
