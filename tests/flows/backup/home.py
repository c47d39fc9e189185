"""A home with small real stores of every kind, and what people and programs would notice of it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from aura.artifact import content_hash, write_json
from aura.paths import profile_paths, repo_root
from aura.registry import CHAMPION, Registry
from aura.releases import IndexVersion, Releases
from aura.tracking import TrackingSettings
from flows.profile import load_profile
from flows.snapshots import nights, record, restore
from flows.stages import run_stage
from flows.workspace import Workspace
from inference.retrieval.build import build_index
from inference.retrieval.search import Index
from stores import schema
from stores.encryption import TextCipher
from stores.local_server import LocalServer
from tests.inference.retrieval.conftest import write_corpus
from tests.inference.retrieval.writer_process import SETTINGS, WordEmbedder

NIGHT = "night-20260101-020000"
QUESTION, SAID = "how do i wash a merino jumper", "I live in a small town"
_TOY = """
stages:
  prepare:
    cmd: mkdir -p data/toy && printf rows > data/toy/rows
    outs:
      - data/toy
"""
_START_SECONDS = 120
HANG_SECONDS = 250


@dataclass(frozen=True)
class System:
    """A home with a repository of backups, and `aura backup` on it."""

    home: Path
    repository: Path
    plain: bool
    password: str = "a password of this test"

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AURA_", "RESTIC_"))}
        return kept | {
            "AURA_HOME": str(self.home), "RESTIC_PASSWORD": self.password, "PYTHONPATH": str(repo_root()),
            "AURA_BACKUP__REPOSITORY": str(self.repository), "AURA_BACKUP__PLAIN": str(self.plain).lower(),
        }  # fmt: skip

    @staticmethod
    def command(*arguments: str) -> list[str]:
        return [sys.executable, "-m", "flows.cli.app", "backup", *arguments]

    def aura(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments), env=self.environment, cwd=repo_root(),
            capture_output=True, text=True, timeout=HANG_SECONDS,
        )  # fmt: skip

    def done(self, *arguments: str) -> str:
        done = self.aura(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@dataclass(frozen=True)
class Answers:
    """What a home answers."""

    counts: dict[str, int]
    said: str
    passages: list[str]
    champion: str
    champion_hash: str
    release: str
    pictures: str
    night: str
    prefect: list[tuple[int, ...]]


def fill(home: Path, folder: Path, people: int) -> None:
    """Small stores of every kind.

    Args:
        folder: takes what they are made of.
        people: accounts, each with a garment and a conversation of two encrypted messages.
    """
    content, key_id = TextCipher(home / "secrets" / "text-keys").encrypted(SAID)
    with LocalServer(home / "postgres").running(_START_SECONDS, folder / "log") as url:
        schema.upgrade(url)
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO users (email, password_hash) "
                "SELECT 'person' || n || '@example.org', md5(n::text) FROM generate_series(1, %s) n",
                (people,),
            )
            connection.execute("INSERT INTO garments (user_id, category, title) SELECT id, 'tops', email FROM users")
            connection.execute("INSERT INTO conversations (user_id) SELECT id FROM users")
            connection.execute(
                "INSERT INTO messages (conversation_id, position, role, content, key_id) "
                "SELECT id, p, 'user', %s, %s FROM conversations, generate_series(0, 1) p",
                (content, key_id),
            )
    registry = Registry(TrackingSettings(), "sample")
    write_json(folder / "artifact" / "config.json", {"size": 3})
    version = registry.register("detection", folder / "artifact", run_id=None, tags={"candidate_id": "one"})
    registry.promote("detection", version.version)
    corpus = write_corpus(folder / "corpus")
    build_index(
        SETTINGS, home / "index" / "sample", corpus / "pages", corpus / "queries.jsonl", corpus / "catalog",
        WordEmbedder(), text_embedders=lambda _: WordEmbedder(),
    )  # fmt: skip
    Releases(registry).make(lambda: IndexVersion(number=1), "first")
    workspace = _workspace(folder)
    with workspace.lock.held():
        workspace.set_up()
        run_stage(workspace, "prepare", timeout_seconds=_START_SECONDS)
        record(workspace, NIGHT)
    for name in ("pictures/ada/1.jpg", "raw/shop/source.json"):
        (home / name).parent.mkdir(parents=True)
        (home / name).write_text(name, encoding="utf-8")
    (home / "prefect").mkdir()
    with closing(sqlite3.connect(home / "prefect" / "prefect.db")) as prefect, prefect:
        prefect.execute("CREATE TABLE flow (number INTEGER)")
        prefect.execute("INSERT INTO flow VALUES (7)")


def answers(home: Path, folder: Path) -> Answers:
    """Ask a home, which is that of `AURA_HOME`.

    Args:
        folder: takes copies.
    """
    with LocalServer(home / "postgres").running(_START_SECONDS, folder / "log") as url:
        with psycopg.connect(url) as connection:
            tables = ("users", "garments", "conversations", "messages")
            counts = {table: _one(connection, f"SELECT count(*) FROM {table}")[0] for table in tables}
            content, key_id = _one(connection, "SELECT content, key_id FROM messages LIMIT 1")
    registry = Registry(TrackingSettings(), "sample")
    champion = registry.at("detection", CHAMPION)
    assert champion is not None
    workspace = _workspace(folder)
    night = restore(workspace, nights(workspace)[0].tag, folder / "night")
    index = Index.open(home / "index" / "sample", text_embedders=lambda _: WordEmbedder())
    with closing(sqlite3.connect(home / "prefect" / "prefect.db")) as prefect:
        flows = prefect.execute("SELECT number FROM flow").fetchall()
    return Answers(
        counts=counts, said=TextCipher(home / "secrets" / "text-keys").decrypted(content, key_id),
        passages=[passage.text for passage in index.search_knowledge(QUESTION)],
        champion=champion.version, champion_hash=content_hash(registry.fetch(champion, folder / "champion")),
        release=str(Releases(registry).serving()), pictures=content_hash(home / "pictures"),
        night=(night / "data" / "toy" / "rows").read_text(encoding="utf-8"), prefect=flows,
    )  # fmt: skip


def _one(connection: psycopg.Connection[tuple[object, ...]], query: str) -> tuple[object, ...]:
    found = connection.execute(query).fetchone()  # type: ignore[arg-type]
    assert found is not None
    return found


def _workspace(folder: Path) -> Workspace:
    (folder / "toy.yaml").write_text(_TOY, encoding="utf-8")
    return Workspace(profile_paths("sample"), load_profile("sample"), definition=folder / "toy.yaml")


def asked(home: Path, folder: Path) -> Answers:
    """`answers` with the home set for this process."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURA_HOME", str(home))
        return answers(home, folder)
