"""What a runner of this machine served last, on disk: so that one which starts while the registry is away can answer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aura.artifact import content_hash, read_json, write_json
from aura.errors import ArtifactError
from aura.releases import Release

_FILE = "last-served.json"


@dataclass(frozen=True, kw_only=True)
class LastServed:
    """A release that answered its smoke test here, and the copy of its model.

    Attributes:
        copy: name of the folder beside the file.
        content_hash: of that folder, as the registry has it.
    """

    release: Release
    copy: str
    content_hash: str

    def write(self, folder: Path) -> None:
        """Keep it in the folder of a model's copies."""
        values = {"release": self.release.as_dict(), "copy": self.copy, "content_hash": self.content_hash}
        write_json(folder / _FILE, values)

    def whole_copy(self, folder: Path, model: str, release: Release) -> Path | None:
        """The copy, where it is of the version that `release` names, and nobody has changed it."""
        copy = folder / self.copy
        if self.release.models.get(model) != release.models.get(model) or not copy.is_dir():
            return None
        return copy if content_hash(copy) == self.content_hash else None


def read_last_served(folder: Path) -> LastServed | None:
    """What `LastServed.write` kept; None without it."""
    try:
        values = read_json(folder / _FILE, "what was served last")
        return LastServed(**values | {"release": Release.from_dict(values["release"])})
    except (ArtifactError, KeyError, TypeError):
        return None
