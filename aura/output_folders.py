"""Folders that a command replaces or deletes: only what Aura made itself.

A person may name any folder as the place of an output. One that is empty or does not exist is taken; one that carries the mark
of the same kind of output is replaced; every other is refused, with its name, before any work is done.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aura.artifact import replace_dir
from aura.errors import ForeignFolderError, SettingsError

_IGNORE_FILE = ".gitignore"
"""DVC takes the outputs of a stage away before it runs, and leaves this file in their folder."""


@dataclass(frozen=True)
class Mark:
    """What tells that Aura made a folder.

    Attributes:
        what: kind of output, in words.
        file: file that every complete folder of this kind has, and no other kind.
        first_line: how the file begins, where its name alone says too little.
    """

    what: str
    file: str
    first_line: str = ""

    def is_on(self, folder: Path) -> bool:
        try:
            with (folder / self.file).open("rb") as stream:
                return stream.readline().decode("utf-8", "replace").startswith(self.first_line)
        except OSError:
            return False

    def put_on(self, folder: Path) -> None:
        """Mark a folder whose kind of output has no file of its own."""
        (folder / self.file).write_text(f"{self.first_line}\n", encoding="utf-8")


PREPARED_DATA = Mark("prepared data", "card.md", "# Data card")
MODEL = Mark("a model", "lineage.json")
RAW_SOURCE = Mark("a raw source", "source.json")
PLOTS = Mark("plots of a training", ".aura-plots", "Made by Aura: the next training replaces this folder.")
CHECKPOINTS = Mark(
    "checkpoints of a training", ".aura-checkpoints", "Made by Aura: another training may delete this folder."
)


def refuse_foreign(folders: Mapping[Path, Mark]) -> None:
    """Refuse to replace folders that Aura did not make.

    Raises:
        ForeignFolderError: names every folder that holds something and lacks the mark of its kind.
    """
    foreign = [f"{folder} (not {mark.what})" for folder, mark in folders.items() if not _may_be_replaced(folder, mark)]
    if foreign:
        raise ForeignFolderError(
            f"this would delete what Aura did not make: {', '.join(foreign)}",
            hint="name a folder that is empty or does not exist yet, or move this one away",
        )


def refuse_overlap(replaced: Mapping[str, Path], other: Mapping[str, Path]) -> None:
    """Refuse outputs that would take one another, or an input, with them.

    Args:
        replaced: folders that are replaced whole, by the option that names each.
        other: folders that must stay.

    Raises:
        SettingsError: names every pair.
    """
    named = {**replaced, **other}
    problems = []
    for option, folder in replaced.items():
        whole = folder.resolve()
        for other_option, other_folder in named.items():
            inside = other_folder.resolve()
            if option != other_option and (whole == inside or whole in inside.parents):
                problems.append(f"{option} {folder} would be replaced with {other_option} {other_folder} in it")
    if problems:
        raise SettingsError("; ".join(problems), hint="name a folder of its own for each")


def fresh_folder(folder: Path, mark: Mark) -> None:
    """Make an empty folder that carries its mark, in the place of an earlier one.

    Raises:
        ForeignFolderError: as `refuse_foreign`.
    """
    refuse_foreign({folder: mark})
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mark.put_on(folder)


def replace_output(finished: Path, target: Path, mark: Mark) -> None:
    """Put a finished folder in the place of `target`; see `aura.artifact.replace_dir`.

    Raises:
        ForeignFolderError: as `refuse_foreign`.
        ValueError: the finished folder lacks the mark.
    """
    if not mark.is_on(finished):
        raise ValueError(f"{finished} has no {mark.file} that marks it as {mark.what}")
    refuse_foreign({target: mark})
    replace_dir(finished, target)


def _may_be_replaced(folder: Path, mark: Mark) -> bool:
    if folder.is_symlink() or not folder.exists():
        return not folder.is_symlink()
    if not folder.is_dir():
        return False
    return mark.is_on(folder) or all(path.name == _IGNORE_FILE for path in folder.iterdir())
