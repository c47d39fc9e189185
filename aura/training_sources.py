"""Which data a model has learnt from: recorded by `prepare` beside each table, copied into every artifact by the training.

`sources.json` stands in `data/<table>/` and in the artifact, so that whoever serves a copy
of it, or a Bento with it inside, knows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from aura.artifact import read_json, write_json
from aura.errors import ArtifactError

SOURCES_FILE = "sources.json"
DRAWN_ONLY = (
    "This model has learnt garments from drawn pictures only, so expect little of it in a photo. It gets better with photos of "
    "your own: import them (aura data import), then run a night."
)


class Source(BaseModel):
    """A source of data.

    Attributes:
        name: as in `data.sources`.
        drawn: whether its pictures are drawn by Aura.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    drawn: bool
    licence: str = ""
    origin: str = ""


class TrainingSources(BaseModel):
    """The sources of some data, or of all that a model has learnt from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sources: tuple[Source, ...]

    @property
    def drawn_only(self) -> bool:
        return bool(self.sources) and all(source.drawn for source in self.sources)

    def write(self, folder: Path) -> None:
        write_json(folder / SOURCES_FILE, self.model_dump(mode="json"))


def read_sources(folder: Path) -> TrainingSources | None:
    """What a folder of data or an artifact says of its sources; None when it was made before that was recorded.

    Raises:
        ArtifactError: the file is broken.
    """
    file = folder / SOURCES_FILE
    if not file.is_file():
        return None
    try:
        return TrainingSources.model_validate(read_json(file, "the record of a model's sources"))
    except ValidationError as error:
        raise ArtifactError(f"{file} records no sources: {error}", hint="train again") from error


def joined(records: Iterable[TrainingSources | None]) -> TrainingSources | None:
    """All sources of several records, each once; None when one of them is not known."""
    found: dict[str, Source] = {}
    for record in records:
        if record is None:
            return None
        found |= {source.name: source for source in record.sources}
    return TrainingSources(sources=tuple(found.values()))


def notice_of(artifact: Path) -> str | None:
    """What to tell whoever gets the model's answers; None: nothing."""
    record = read_sources(artifact)
    return DRAWN_ONLY if record and record.drawn_only else None


def record_sources(artifact: Path, data: Sequence[Path], base: Path | None) -> None:
    """Write into an artifact what it was trained on, and what the champion was that its training began with.

    Nothing is written when one of them is unknown: no claim is better than a wrong one.
    """
    record = joined([*map(read_sources, data), *([read_sources(base)] if base else [])])
    if record is not None:
        record.write(artifact)
