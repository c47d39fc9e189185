"""The outbox: each row to one reader, none lost, none of people who do not allow it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from stores.database import Connection, Database
from stores.encryption import TextCipher
from stores.feedback import FeedbackOf, take
from stores.settings import DatabaseSettings
from stores.users import Users


@pytest.fixture
def cipher(tmp_path: Path) -> TextCipher:
    return TextCipher(tmp_path / "keys")


async def said(database: Database, cipher: TextCipher, email: str, number: int, may_learn: bool) -> None:
    """A person who has said `number` things."""

    async def add(connection: Connection) -> None:
        user = await Users(connection).add(email, "hash")
        assert user is not None
        await Users(connection).set_consent(user.id, may_learn)
        for entry in range(number):
            await FeedbackOf(connection, user.id, cipher).add("answer", {"number": entry, "of": email}, 1000)

    await database.run(add)


def test_readers_side_by_side_take_each_row_once(database_url: str, cipher: TextCipher) -> None:
    async def run() -> list[int]:
        database = Database(database_url, DatabaseSettings())
        await database.open()
        await said(database, cipher, "ada@example.org", 40, may_learn=True)
        taken: list[int] = []

        async def read(connection: Connection) -> int:
            found = await take(connection, cipher, 7)
            await asyncio.sleep(0.01)  # others read meanwhile
            taken.extend(feedback.body["number"] for feedback in found)
            return len(found)

        while any(await asyncio.gather(*(database.run(read) for _ in range(4)))):
            pass
        await database.close()
        return taken

    assert sorted(asyncio.run(run())) == list(range(40))


def test_what_was_taken_in_work_that_failed_waits_on(database_url: str, cipher: TextCipher) -> None:
    async def run() -> None:
        database = Database(database_url, DatabaseSettings())
        await database.open()
        await said(database, cipher, "ada@example.org", 2, may_learn=True)

        async def fail(connection: Connection) -> None:
            assert len(await take(connection, cipher, 10)) == 2
            raise LookupError

        with pytest.raises(LookupError):
            await database.run(fail)
        assert [entry.body["number"] for entry in await database.run(lambda c: take(c, cipher, 10))] == [0, 1]
        assert await database.run(lambda c: take(c, cipher, 10)) == []
        await database.close()

    asyncio.run(run())


def test_nothing_is_learnt_from_whom_does_not_allow_it(database_url: str, cipher: TextCipher) -> None:
    async def run() -> None:
        database = Database(database_url, DatabaseSettings())
        await database.open()
        await said(database, cipher, "ada@example.org", 1, may_learn=False)
        await said(database, cipher, "eve@example.org", 1, may_learn=True)
        [entry] = await database.run(lambda c: take(c, cipher, 10))
        assert entry.body["of"] == "eve@example.org"
        await database.close()

    asyncio.run(run())
