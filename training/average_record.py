"""What became of a candidate's averages with the champion, as it stands in its artifact. Reports read it: no torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aura.artifact import read_json, write_json

_FILE = "average.json"


@dataclass(frozen=True, kw_only=True)
class AverageRecord:
    """Which average was chosen.

    Attributes:
        alpha: the challenger's share of the weights; 1: no average.
        metric: what they were compared by, on the validation split.
        validation: share to metric.
    """

    alpha: float
    metric: str
    validation: Mapping[str, float]

    def write(self, artifact_dir: Path) -> None:
        write_json(artifact_dir / _FILE, self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def __str__(self) -> str:
        shares = sorted(self.validation, key=float)
        tried = ", ".join(f"{share}: {self.validation[share]:.3f}" for share in shares)
        chosen = (
            "the challenger itself" if self.alpha == 1 else f"{self.alpha:g} challenger, {1 - self.alpha:g} champion"
        )
        return f"{chosen}; validation {self.metric} per share of the challenger: {tried}"


def recorded_average(artifact_dir: Path) -> AverageRecord | None:
    """The record in an artifact; None where no average was tried.

    Raises:
        ArtifactError: it is damaged.
    """
    path = artifact_dir / _FILE
    return AverageRecord(**read_json(path, "the record of the averaged weights")) if path.is_file() else None
