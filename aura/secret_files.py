"""Files for this account alone from their first byte on, whole or not there."""

from __future__ import annotations

import os
from pathlib import Path

from aura.artifact import sync


def write_secret(path: Path, text: str) -> None:
    """Write a text file with mode 600; its folder is made with mode 700 if it is missing."""
    write_secret_bytes(path, text.encode())


def write_secret_bytes(path: Path, content: bytes) -> None:
    """Write a file with mode 600; its folder is made with mode 700 if it is missing."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync(path.parent)
