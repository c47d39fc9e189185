"""What goes into a Bento: sources, lock file, and what the package stage pins. One definition for all services."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from aura.artifact import content_hash
from aura.lineage import code_hash, value_hash
from flows.services import Service

SOURCES = ("aura", "inference", "stores", "bentos")
"""Python packages of the repository."""
LOCK = "requirements-serve.lock"
"""What a Bento installs: the services' part of the versions that the checkout runs with."""
FILES = (LOCK, "pyproject.toml")
"""Files of the repository besides code."""
PINNED = "pinned"
"""Folder with settings, champions and index."""

BUILD_OPTIONS: dict[str, Any] = {
    "labels": {"project": "aura"},
    "description": "Part of Aura; see the docs page of the running service.\n",
    "include": [*(f"{folder}/**" for folder in (*SOURCES, PINNED)), *FILES],
    # The lock file is complete. pip and uv check its hashes without an option; with one, uv would refuse the line without a
    # hash that BentoML adds for itself.
    "python": {"requirements_txt": LOCK, "pip_args": "--no-deps", "lock_packages": False},
}
"""Options of `bentoml.bentos.build` that all services share."""


def contents_hash(repository: Path) -> str:
    """Hash of everything in a Bento except what is pinned."""
    files = [content_hash(repository / file) for file in FILES]
    return value_hash([code_hash(SOURCES), files, BUILD_OPTIONS])


def copy_sources(repository: Path, staging: Path) -> None:
    """Put sources and files into the folder that a Bento is built from."""
    for source in SOURCES:
        shutil.copytree(repository / source, staging / source, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy2(repository / file, staging / file)


def build(service: Service, version: str, staging: Path) -> None:
    """Build the Bento from a folder with the sources and `pinned/`, into BentoML's store."""
    import bentoml

    bentoml.bentos.build(service.target, version=version, build_ctx=str(staging), **BUILD_OPTIONS)
