"""Keys of texts: private files, rotated while texts are read and written."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import psycopg
import pytest

from aura.errors import DatabaseError, SettingsError
from stores.conversations import Conversations
from stores.database import Connection, Database
from stores.encryption import TextCipher
from stores.feedback import FeedbackOf, take
from stores.reencryption import reencrypt
from stores.settings import DatabaseSettings
from stores.users import Users

TEXT = "Ça va, 絹とウール\n\u2028"


def test_a_text_comes_back_and_a_changed_one_does_not(tmp_path: Path) -> None:
    cipher = TextCipher(tmp_path / "keys")
    content, key_id = cipher.encrypted(TEXT)
    assert TEXT.encode() not in content
    assert TextCipher(tmp_path / "keys").decrypted(content, key_id) == TEXT
    with pytest.raises(DatabaseError, match="cannot be decrypted"):
        cipher.decrypted(content[:-1] + b"x", key_id)
    with pytest.raises(DatabaseError, match="cannot be decrypted"):
        TextCipher(tmp_path / "others").decrypted(content, key_id)


def test_keys_are_private_files(tmp_path: Path) -> None:
    folder = tmp_path / "secrets" / "keys"
    TextCipher(folder)
    [file] = folder.glob("*.key")
    assert (stat.S_IMODE(folder.stat().st_mode), stat.S_IMODE(file.stat().st_mode)) == (0o700, 0o600)
    file.chmod(0o644)
    with pytest.raises(SettingsError, match="everybody may read it"):
        TextCipher(folder)
    file.chmod(0o600)
    file.write_text("no key")
    with pytest.raises(SettingsError, match="no Fernet key"):
        TextCipher(folder)


def test_a_rotation_leaves_no_text_of_an_old_key_and_loses_none(database_url: str, tmp_path: Path) -> None:
    texts = [f"{TEXT} {number}" for number in range(1200)]

    async def run() -> None:
        database = Database(database_url, DatabaseSettings())
        await database.open()
        cipher, elsewhere = TextCipher(tmp_path), TextCipher(tmp_path)

        async def fill(connection: Connection) -> Conversations:
            user = await Users(connection).add("ada@example.org", "hash")
            assert user is not None
            await Users(connection).set_consent(user.id, True)
            conversations = Conversations(connection, user.id, cipher)
            begun = await conversations.begin(10)
            assert begun is not None
            await conversations.add(begun.id, [("user", text) for text in texts], 10_000)
            await FeedbackOf(connection, user.id, cipher).add("answer", {"text": TEXT}, 10)
            ids.extend((user.id, begun.id))
            return conversations

        ids: list = []
        await database.run(fill)
        first = cipher.newest
        assert cipher.add_key() != first
        assert await reencrypt(database, cipher) == len(texts) + 1
        assert await reencrypt(database, cipher) == 0
        cipher.add_key()
        cipher.forget_old_keys()
        assert first not in elsewhere._keys or elsewhere.newest, "another process reads the folder again"
        user_id, conversation_id = ids
        read = await database.run(
            lambda connection: Conversations(connection, user_id, elsewhere).messages(conversation_id, 0, 5000)
        )
        assert read is not None
        assert [message.content for message in read] == texts
        [feedback] = await database.run(lambda connection: take(connection, elsewhere, 5))
        assert feedback.body == {"text": TEXT}
        await database.close()

    asyncio.run(run())
    with psycopg.connect(database_url) as connection:
        keys = connection.execute("SELECT DISTINCT key_id FROM messages UNION SELECT key_id FROM feedback").fetchall()
    assert len(keys) == 1
