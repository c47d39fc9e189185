"""Pictures of people's garments: JPEG files by content hash, in a folder per person, on disk.

A picture is decoded and written anew, so that nothing of the camera's notes (place, time, device) is kept.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from uuid import UUID

from PIL import Image

from aura.paths import home
from aura.secret_files import write_secret_bytes

FOLDER = "AURA_PICTURES"
"""Environment variable with the folder, where it is not the one under the home folder: replicas share one."""
_SIDE_PX = 1024
_QUALITY = 90


def pictures_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Folder of the pictures of this machine, or of the replicas."""
    given = (os.environ if environ is None else environ).get(FOLDER)
    return Path(given).expanduser() if given else home() / "pictures"


def jpeg(image: Image.Image) -> bytes:
    """An upright RGB image as a file, its long side 1024 px at most."""
    small = image.copy()
    small.thumbnail((_SIDE_PX, _SIDE_PX))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


class Pictures:
    """The pictures of everybody, by person and hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @staticmethod
    def hash_of(content: bytes) -> bytes:
        """SHA-256 of a file."""
        return hashlib.sha256(content).digest()

    def path(self, user_id: UUID, picture_hash: bytes) -> Path:
        """Where a picture lies."""
        return self._folder / str(user_id) / f"{picture_hash.hex()}.jpg"

    def save(self, user_id: UUID, content: bytes) -> None:
        """Keep a file; one that is there already is the same."""
        path = self.path(user_id, self.hash_of(content))
        if not path.exists():
            write_secret_bytes(path, content)

    def remove(self, user_id: UUID, picture_hash: bytes) -> None:
        self.path(user_id, picture_hash).unlink(missing_ok=True)

    def remove_all(self, user_id: UUID) -> None:
        """Remove every picture of a person."""
        shutil.rmtree(self._folder / str(user_id), ignore_errors=True)

    def owners(self) -> Collection[UUID]:
        """People who have pictures."""
        return [UUID(folder.name) for folder in self._folder.iterdir()] if self._folder.is_dir() else []
