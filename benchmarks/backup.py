"""Restore drill: a home after a night, with 10,000 conversations and 1,000 garments, backed up, and restored at another path.

    python -m benchmarks.backup

copies what a backup holds of the home of `AURA_HOME` to a temporary one, fills its database, runs `aura backup create`, twice,
`verify` and `restore`, compares both homes, and prints seconds, bytes and what was compared.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from aura.artifact import content_hash
from aura.paths import home, profile_paths, repo_root
from aura.registry import CHAMPION, Registry
from aura.releases import Releases
from benchmarks.people import fill
from flows.profile import load_profile
from inference.retrieval.search import Index
from stores import schema
from stores.encryption import TextCipher
from stores.local_server import LocalServer
from training.models import MODELS

CONVERSATIONS, GARMENTS, PEOPLE = 10_000, 1_000, 1_000
_MESSAGES_PER_CONVERSATION = 20
_COPIED = ("mlflow", "index", "dvc", "prefect", "raw", "reports")
_TABLES = ("users", "garments", "conversations", "messages")
_QUESTIONS = ("how do I wash a wool jumper", "what fits a navy suit", "shoes for a wedding in summer")
_START_SECONDS = 120


def prepare(source: Path, target: Path) -> None:
    """A home after a night, with people in its database."""
    for name in _COPIED:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, symlinks=True)
    for repository in source.glob("pipelines/*/.git"):
        shutil.copytree(repository, target / repository.relative_to(source))
    cipher = TextCipher(target / "secrets" / "text-keys")
    with LocalServer(target / "postgres").running(_START_SECONDS, target / "logs" / "drill.log") as url:
        schema.upgrade(url)
        fill(url, cipher, PEOPLE, CONVERSATIONS * _MESSAGES_PER_CONVERSATION, GARMENTS)


def compared(place: Path, profile: str, scratch: Path) -> dict[str, str]:
    """What a home answers, by what is asked."""
    os.environ["AURA_HOME"] = str(place)
    with LocalServer(place / "postgres").running(_START_SECONDS, place / "logs" / "drill.log") as url:
        with psycopg.connect(url) as connection:
            found = {table: str(_one(connection, f"SELECT count(*) FROM {table}")[0]) for table in _TABLES}
            content, key_id = _one(connection, "SELECT content, key_id FROM messages LIMIT 1")
            digest = "SELECT md5(string_agg(md5(content::text), '' ORDER BY conversation_id, position)) FROM messages"
            found["hash of all messages"] = str(_one(connection, digest)[0])
    found["a message, decrypted"] = TextCipher(place / "secrets" / "text-keys").decrypted(content, key_id)
    registry = Registry(load_profile(profile).tracking, profile)
    for model in MODELS:
        if champion := registry.at(model, CHAMPION):
            copy = registry.fetch(champion, scratch / place.name / model)
            found[f"{model} v{champion.version}"] = content_hash(copy)
    found["release"] = str(Releases(registry).serving())
    index = Index.open(profile_paths(profile).index)
    for question in _QUESTIONS:
        found[question] = " | ".join(passage.text for passage in index.search_knowledge(question))
    return found


def _one(connection: psycopg.Connection[tuple[object, ...]], query: str) -> tuple[object, ...]:
    row = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row


def size_mb(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", default="sample")
    profile = parser.parse_args().profile
    source = home()
    with tempfile.TemporaryDirectory(prefix="aura-drill-") as name:
        folder = Path(name)
        first, second = folder / "home", folder / "restored"
        print(f"{platform.machine()}, {os.cpu_count()} cores; a copy of {source}")
        prepare(source, first)
        before = compared(first, profile, folder / "copies")

        def aura(place: Path, *arguments: str) -> Callable[[], object]:
            environment = os.environ | {
                "AURA_HOME": str(place), "AURA_BACKUP__REPOSITORY": str(folder / "repository"),
                "RESTIC_PASSWORD": "of this drill", "PYTHONPATH": str(repo_root()),
            }  # fmt: skip
            command = [sys.executable, "-m", "flows.cli.app", "backup", *arguments, "--profile", profile]
            return lambda: subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)

        for what, work in (
            ("create", aura(first, "create")),
            ("create again, nothing changed", aura(first, "create")),
            ("verify", aura(first, "verify")),
            ("restore at another path", aura(second, "restore", "latest")),
        ):
            began = time.perf_counter()
            work()
            taken = time.perf_counter() - began
            print(f"{what}: {taken:.1f} s; repository {size_mb(folder / 'repository'):.0f} MB")
        held = sum(size_mb(second / name) for name in (*_COPIED, "pipelines", "secrets"))
        print(f"restored: {held:.0f} MB and the database")
        first.rename(folder / "gone")
        after = compared(second, profile, folder / "copies")
        differing = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
        print(f"{len(before)} comparisons, {len(differing)} differ: {', '.join(differing) or '-'}")
        print(", ".join(f"{before[table]} {table}" for table in _TABLES))
        if differing:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
