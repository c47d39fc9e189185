"""What people say of answers, taken by the night: each row of the outbox once, as a line of a file in the working copy.

The file is written anew, whole and flushed to the disk, before the transaction that takes the rows is committed. A line counts as
long as its row says that it was taken at the moment that the line names. So a night that is killed before the commit leaves lines
that the next one drops and takes again; and what was deleted, or whose owner has withdrawn the consent, is dropped as well.

Lines hold what the night counts or could learn from. Questions, answers and comments stay in the database, encrypted.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from aura.artifact import write_text
from aura.errors import DataError
from stores.database import Connection, Database
from stores.encryption import TextCipher
from stores.feedback import Feedback, FeedbackKind, take, taken_times

_AT_ONCE = 5000
"""Rows per transaction."""
_KEPT: Mapping[FeedbackKind, tuple[str, ...]] = {
    "answer": ("thumbs",),
    "detection": ("photo_sha256", "garments"),
    "outfit": ("verdict", "item_ids", "score"),
}
"""Fields of `bentos/accounts/belongings_schemas.py` that a line has."""


class FeedbackLine(BaseModel):
    """A line of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int
    kind: FeedbackKind
    taken_at: datetime
    said: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class FeedbackCounts:
    """What the file holds.

    Attributes:
        new: lines of this night.
        corrected: garments with a category and a box that people gave them.
    """

    new: int
    up: int
    down: int
    corrected: int
    photos: int
    saved: int
    rejected: int

    def __str__(self) -> str:
        return (
            f"{self.up} answers up, {self.down} down; {self.corrected} corrected boxes in {self.photos} photos; "
            f"{self.saved} outfits saved, {self.rejected} rejected; {self.new} of all new"
        )

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


async def take_feedback(database: Database, cipher: TextCipher, file: Path) -> FeedbackCounts:
    """Bring the file up to date with the outbox.

    Raises:
        DataError: a line of the file is damaged.
        DatabaseError: the database is away, or the key of a text is gone.
    """
    new = 0
    while True:
        taken = await database.run(lambda connection: _take_some(connection, cipher, file))
        new += taken
        if taken < _AT_ONCE:
            return _counts(read_lines(file), new)


def read_lines(file: Path) -> list[FeedbackLine]:
    """The lines, by id; none where there is no file yet.

    Raises:
        DataError: a line is damaged.
    """
    if not file.is_file():
        return []
    lines = []
    with file.open(encoding="utf-8") as stream:
        for number, text in enumerate(stream, 1):
            try:
                lines.append(FeedbackLine.model_validate_json(text))
            except ValidationError as error:
                raise DataError(
                    f"line {number} of {file} is damaged",
                    hint="remove that line; the database has what it said",
                ) from error
    return lines


async def _take_some(connection: Connection, cipher: TextCipher, file: Path) -> int:
    before = {line.id: line for line in read_lines(file)}
    times = await taken_times(connection, [*before])
    kept = {number: line for number, line in before.items() if times.get(number) == line.taken_at}
    taken = await take(connection, cipher, _AT_ONCE)
    after = kept | {entry.id: _line(entry) for entry in taken}
    if after != before:
        write_text(file, "".join(after[number].model_dump_json() + "\n" for number in sorted(after)))
    return len(taken)


def _line(entry: Feedback) -> FeedbackLine:
    assert entry.taken_at is not None, "it was taken just now"
    said = {name: entry.body[name] for name in _KEPT[entry.kind] if name in entry.body}
    return FeedbackLine(id=entry.id, kind=entry.kind, taken_at=entry.taken_at, said=json.loads(json.dumps(said)))


def _counts(lines: Sequence[FeedbackLine], new: int) -> FeedbackCounts:
    said = Counter(line.said.get("thumbs") or line.said.get("verdict") for line in lines)
    corrections = [line.said for line in lines if line.kind == "detection"]
    return FeedbackCounts(
        new=new, up=said["up"], down=said["down"], saved=said["saved"], rejected=said["rejected"],
        corrected=sum(len(correction["garments"]) for correction in corrections),
        photos=len({correction["photo_sha256"] for correction in corrections}),
    )  # fmt: skip
