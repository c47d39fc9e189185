"""The night takes what people said: each row once whatever kills it, and nothing of whom no longer allows it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import psycopg
import pytest

from aura.errors import DataError
from flows import feedback
from flows.feedback import FeedbackCounts, read_lines, take_feedback
from stores.database import Connection, Database
from stores.encryption import TextCipher
from stores.feedback import FeedbackKind, FeedbackOf
from stores.settings import DatabaseSettings
from stores.users import Users

T = TypeVar("T")
QUESTION = "What suits my grandmother's coat?"
SAID: list[tuple[FeedbackKind, dict[str, Any]]] = [
    ("answer", {"kind": "answer", "thumbs": "up", "question": QUESTION, "answer": "Brown.", "comment": ""}),
    ("answer", {"kind": "answer", "thumbs": "down", "question": QUESTION, "answer": "Brown.", "comment": "no"}),
    (
        "detection",
        {"kind": "detection", "photo_sha256": "0" * 64,
         "garments": [{"category": "tops", "box": [0, 0, 5, 5]}, {"category": "shoes", "box": [1, 1, 2, 2]}]},
    ),
    ("outfit", {"kind": "outfit", "verdict": "saved", "item_ids": ["a", "b"], "score": 0.5}),
    ("outfit", {"kind": "outfit", "verdict": "rejected", "item_ids": ["c"], "score": None}),
]  # fmt: skip


@pytest.fixture
def cipher(tmp_path: Path) -> TextCipher:
    return TextCipher(tmp_path / "keys")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pipeline" / "feedback.jsonl"


def run(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    async def opened() -> T:
        database = Database(url, DatabaseSettings())
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(opened())


def person(url: str, cipher: TextCipher, email: str, times: int = 1) -> UUID:
    """Somebody who lets nights learn, and has said everything of `SAID` some times."""

    async def add(connection: Connection) -> UUID:
        user = await Users(connection).add(email, "hash")
        assert user is not None
        await Users(connection).set_consent(user.id, True)
        for kind, body in SAID * times:
            assert await FeedbackOf(connection, user.id, cipher).add(kind, body, 10_000)
        return user.id

    return run(url, lambda database: database.run(add))


def taken(url: str, cipher: TextCipher, file: Path) -> FeedbackCounts:
    return run(url, lambda database: take_feedback(database, cipher, file))


def test_what_people_said_is_counted_and_their_texts_stay_where_they_are(
    database_url: str, cipher: TextCipher, file: Path
) -> None:
    person(database_url, cipher, "ada@example.org", times=3)
    counts = FeedbackCounts(new=15, up=3, down=3, corrected=6, photos=1, saved=3, rejected=3)
    assert taken(database_url, cipher, file) == counts
    assert str(counts) == (
        "3 answers up, 3 down; 6 corrected boxes in 1 photos; 3 outfits saved, 3 rejected; 15 of all new"
    )
    text = file.read_text(encoding="utf-8")
    assert "grandmother" not in text
    assert "Brown" not in text
    assert json.loads(text.splitlines()[3])["said"] == {"verdict": "saved", "item_ids": ["a", "b"], "score": 0.5}
    before = file.stat().st_ino
    assert taken(database_url, cipher, file).new == 0
    assert file.stat().st_ino == before, "nothing new: the file is left alone"


def test_without_any_feedback_there_is_no_file(database_url: str, cipher: TextCipher, file: Path) -> None:
    assert taken(database_url, cipher, file).new == 0
    assert not file.exists()


_KILLED = """
import os, signal, sys
from pathlib import Path
from flows import feedback
from tests.flows.test_feedback_of_nights import taken
from stores.encryption import TextCipher

url, keys, file, moment = sys.argv[1:]
write = feedback.write_text

def killed(path, text):
    if moment == "after":
        write(path, text)
    os.kill(os.getpid(), signal.SIGKILL)

feedback.write_text = killed
taken(url, TextCipher(Path(keys)), Path(file))
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_night_that_is_killed_loses_and_doubles_nothing(
    database_url: str, cipher: TextCipher, file: Path, tmp_path: Path, moment: str
) -> None:
    person(database_url, cipher, "ada@example.org", times=4)
    command = [sys.executable, "-c", _KILLED, database_url, str(tmp_path / "keys"), str(file), moment]
    died = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=120)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert len(read_lines(file)) == (20 if moment == "after" else 0)
    assert taken(database_url, cipher, file).new == 20, "the transaction of the killed night is undone"
    with psycopg.connect(database_url) as connection:
        known = [row[0] for row in connection.execute("SELECT id FROM feedback ORDER BY id").fetchall()]
    assert [line.id for line in read_lines(file)] == known


def test_many_rows_are_taken_some_at_a_time(
    database_url: str, cipher: TextCipher, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback, "_AT_ONCE", 4)
    person(database_url, cipher, "ada@example.org", times=4)
    assert taken(database_url, cipher, file).new == 20
    assert len(read_lines(file)) == 20


def test_whom_has_gone_or_changed_their_mind_the_next_night_forgets(
    database_url: str, cipher: TextCipher, file: Path
) -> None:
    ada, eve, bob = (person(database_url, cipher, f"{name}@example.org") for name in ("ada", "eve", "bob"))
    assert taken(database_url, cipher, file).new == 15

    async def change(connection: Connection) -> None:
        await Users(connection).remove(ada)
        await FeedbackOf(connection, eve, cipher).withdraw()
        await Users(connection).set_consent(eve, False)
        [last] = await FeedbackOf(connection, bob, cipher).page(None, 1)
        await FeedbackOf(connection, bob, cipher).remove(last.id)

    run(database_url, lambda database: database.run(change))
    counts = taken(database_url, cipher, file)
    assert (counts.new, len(read_lines(file)), counts.rejected) == (0, 4, 0)
    run(database_url, lambda database: database.run(lambda connection: Users(connection).set_consent(eve, True)))
    assert taken(database_url, cipher, file).new == 5, "who allows it again is heard again"


def test_what_another_profile_has_taken_is_in_its_file_alone(database_url: str, cipher: TextCipher, file: Path) -> None:
    person(database_url, cipher, "ada@example.org")
    other = file.with_name("other.jsonl")
    assert taken(database_url, cipher, file).new == 5
    assert taken(database_url, cipher, other).new == 0
    with psycopg.connect(database_url) as connection:  # as after a commit that a crash has undone
        connection.execute("UPDATE feedback SET taken_at = NULL")
    assert taken(database_url, cipher, other).new == 5
    assert (taken(database_url, cipher, file).new, read_lines(file)) == (0, [])


def test_a_damaged_line_is_named(database_url: str, cipher: TextCipher, file: Path) -> None:
    person(database_url, cipher, "ada@example.org")
    taken(database_url, cipher, file)
    file.write_text(file.read_text(encoding="utf-8") + "{", encoding="utf-8")
    with pytest.raises(DataError, match="line 6 of"):
        taken(database_url, cipher, file)
