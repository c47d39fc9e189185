"""The keys that sign access tokens: Ed25519, one PEM file each, in a private folder.

The newest one signs. The one before stays live, so that what it has signed is good until it expires: two keys at a time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from aura.errors import SettingsError
from aura.key_folder import KeyFolder, read_key
from aura.paths import home
from bentos.serving.tokens import key_id

FOLDER = "AURA_TOKEN_KEYS"
"""Environment variable with the folder, where it is not the one under the home folder: replicas share one."""
_LIVE = 2


def keys_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Folder of the keys of this machine, or of the replicas."""
    given = (os.environ if environ is None else environ).get(FOLDER)
    return Path(given).expanduser() if given else home() / "secrets" / "token-keys"


class SigningKeys:
    """The live keys of a folder.

    Raises:
        SettingsError: a file is no Ed25519 key, or everybody may read it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = KeyFolder(folder, ".pem", _new_pem)
        self._seen: Sequence[Path] = []
        self._keys: dict[str, Ed25519PrivateKey] = {}
        self._read()

    @property
    def newest(self) -> tuple[str, Ed25519PrivateKey]:
        """The key that signs, and its id."""
        return [*self.live.items()][-1]

    @property
    def live(self) -> Mapping[str, Ed25519PrivateKey]:
        """Keys by id, oldest first."""
        self._read()
        return self._keys

    def rotate(self) -> str:
        """Make a new key; the one before stays live, older ones are removed. Returns the new one's id."""
        self._folder.add()
        self._folder.keep(_LIVE)
        return self.newest[0]

    def _read(self) -> None:
        files = self._folder.files()[-_LIVE:]
        if files != self._seen:
            self._keys = {key_id(key.public_key()): key for key in map(_key, files)}
            self._seen = files


def _new_pem() -> str:
    return Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def _key(file: Path) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(read_key(file), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SettingsError(f"{file} is no Ed25519 key in PEM", hint="openssl genpkey -algorithm ed25519")
    return key
