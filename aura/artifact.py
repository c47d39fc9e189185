"""Files of a model artifact: atomic writes, checked reads, content hashes.

An artifact is a directory with weights, `config.json`, `preprocess.json`, `labels.json`, `metrics.json` and `card.md`.
Writers build it beside the target and swap it in, so that readers never see a partial artifact after a crash.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

from aura.errors import ArtifactError

_CHUNK_BYTES = 1 << 20


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: readers see the old content or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk: without it a power cut may leave an empty file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, sorted and indented so that a diff is readable."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n")


def read_json(path: Path, what: str) -> Any:
    """Read a JSON file; `what` names it in the error.

    Raises:
        ArtifactError: the file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ArtifactError(
            f"{what} is missing: {path}", hint="train again, or roll back to a version that is complete"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ArtifactError(
            f"{what} is not valid JSON: {path} ({error})", hint="restore the file from the registry or train again"
        ) from error


def replace_dir(source: Path, target: Path) -> None:
    """Replace `target` by the finished directory `source`.

    A crash between the two renames leaves `target` missing and its old content in `.<name>.old`; the next call or
    `recover_dir` repairs that.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for path in [*source.rglob("*"), source]:
        sync(path)
    old = target.with_name(f".{target.name}.old")
    if target.exists():
        if old.exists():
            shutil.rmtree(old)
        target.rename(old)
    source.rename(target)
    sync(target.parent)
    if old.exists():
        shutil.rmtree(old)


def recover_dir(target: Path) -> None:
    """Undo a `replace_dir` that was killed between its two renames."""
    old = target.with_name(f".{target.name}.old")
    if old.exists() and not target.exists():
        old.rename(target)


def content_hash(path: Path) -> str:
    """SHA-256 over a file, or over a directory's relative names and file contents.

    Raises:
        ArtifactError: nothing is there.
    """
    if not path.exists():
        raise ArtifactError(f"nothing to hash: {path} does not exist")
    digest = hashlib.sha256()
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    for file in files:
        name = file.name if path.is_file() else file.relative_to(path).as_posix()
        digest.update(name.encode() + b"\0")
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
        digest.update(b"\0")
    return digest.hexdigest()
