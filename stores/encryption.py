"""What people have said, encrypted at rest: Fernet (AES-128-CBC with HMAC-SHA256), with keys that rotate.

New texts are encrypted with the newest key. `reencrypt` brings the older ones to it, row by row, while services run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken

from aura.errors import DatabaseError, SettingsError
from aura.key_folder import KeyFolder, read_key
from aura.paths import home

FOLDER = "AURA_TEXT_KEYS"
"""Environment variable with the folder, where it is not the one under the home folder: replicas share one."""


def keys_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Folder of the keys of this machine, or of the replicas."""
    given = (os.environ if environ is None else environ).get(FOLDER)
    return Path(given).expanduser() if given else home() / "secrets" / "text-keys"


class TextCipher:
    """The keys of a folder.

    Raises:
        SettingsError: a file is no key, or everybody may read it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = KeyFolder(folder, ".key", lambda: Fernet.generate_key().decode())
        self._seen: Sequence[Path] = []
        self._keys: dict[str, Fernet] = {}
        self._read()

    @property
    def newest(self) -> str:
        """Id of the key that encrypts."""
        self._read()
        return [*self._keys][-1]

    def encrypted(self, text: str) -> tuple[bytes, str]:
        """The text encrypted, and the id of the key."""
        key_id = self.newest
        return self._keys[key_id].encrypt(text.encode()), key_id

    def decrypted(self, content: bytes, key_id: str) -> str:
        """The text.

        Raises:
            DatabaseError: its key is gone, or the content was changed.
        """
        self._read()
        try:
            return self._keys[key_id].decrypt(content).decode()
        except (KeyError, InvalidToken) as error:
            raise DatabaseError(
                f"a text cannot be decrypted with the keys in {self._folder.folder}",
                hint="bring back the keys that were there when it was written",
            ) from error

    def add_key(self) -> str:
        """Encrypt with a new key from now on; returns its id."""
        self._folder.add()
        return self.newest

    def forget_old_keys(self) -> None:
        """Remove all keys but the newest two: another process may just have used the one before."""
        self._folder.keep(2)

    def _read(self) -> None:
        files = self._folder.files()
        if files != self._seen:
            self._keys = dict(map(_key, files))
            self._seen = files


def _key(file: Path) -> tuple[str, Fernet]:
    try:
        content = read_key(file).strip()
        return hashlib.sha256(content).hexdigest()[:16], Fernet(content)
    except ValueError:
        raise SettingsError(f"{file} is no Fernet key", hint="openssl rand -base64 32 | tr +/ -_") from None
