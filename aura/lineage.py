"""Where a model came from: git commit, hash of the code that matters, hash of settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aura.errors import GitError
from aura.git import git
from aura.paths import repo_root

COMMIT_FILE = "COMMIT"
"""File of a copy of the checkout with what `git_commit` said there."""


def git_commit() -> str:
    """Commit of the checkout, with `-dirty` when tracked files differ; `unknown` outside a checkout."""
    recorded = repo_root() / COMMIT_FILE
    if recorded.is_file():
        return recorded.read_text(encoding="utf-8").strip()
    try:
        commit = git(repo_root(), "rev-parse", "HEAD").strip()
        return f"{commit}-dirty" if git(repo_root(), "status", "--porcelain", "--untracked-files=no") else commit
    except GitError:
        return "unknown"


def code_hash(sources: Iterable[str]) -> str:
    """SHA-256 over the Python sources below the given paths of the repository (folders or files)."""
    digest = hashlib.sha256()
    for source in sorted(sources):
        path = repo_root() / source
        if not path.exists():
            raise ValueError(f"no source at {source}")
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            digest.update(file.relative_to(repo_root()).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def value_hash(value: Any) -> str:
    """SHA-256 of a JSON-like value, independent of key order."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def file_tree_hash(folder: Path, pattern: str = "*") -> str:
    """SHA-256 over names and contents of the files below a folder that match a pattern."""
    digest = hashlib.sha256()
    for file in sorted(path for path in folder.rglob(pattern) if path.is_file()):
        digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()
