"""Importers of public data sets, in one table.

To add an importer, write a module with a function `(path, raw_dir, settings) -> ImportReport` that fills a raw source
(see `dataprep.raw_source`), and add a line to `IMPORTERS`. The command line, the settings and the error messages take the
names from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aura.errors import SettingsError

if TYPE_CHECKING:
    from dataprep.raw_source import ImportReport
    from dataprep.settings import DataSettings

SYNTHETIC = "sample"
"""Name of the source that is drawn, not imported: see `dataprep.synthetic`."""
Table = Literal["detection", "outfits", "catalog"]
Importer = Callable[[Path, Path, "DataSettings"], "ImportReport"]


@dataclass(frozen=True, kw_only=True)
class ImporterEntry:
    """An importer that is loaded when it is used: every command reads this table, and NumPy and SciPy take a second.

    Attributes:
        load: imports the module and returns its function.
        summary: a sentence for the help of the command line.
        tables: what the source gives.
    """

    load: Callable[[], Importer]
    summary: str
    tables: tuple[Table, ...]


def _ccp() -> Importer:
    from dataprep.importers.ccp import import_ccp

    return import_ccp


def _clothing() -> Importer:
    from dataprep.importers.clothing import import_clothing

    return import_clothing


IMPORTERS: dict[str, ImporterEntry] = {
    "ccp": ImporterEntry(
        load=_ccp,
        summary="Clothing Co-Parsing street photos: boxes, outfits and catalog items from the pixel labels.",
        tables=("detection", "outfits", "catalog"),
    ),
    "clothing": ImporterEntry(
        load=_clothing,
        summary="Product photos of single garments: catalog items.",
        tables=("catalog",),
    ),
}


def importer(name: str) -> Importer:
    """The importer of a source.

    Raises:
        SettingsError: no importer has this name; the known ones are listed.
    """
    if name not in IMPORTERS:
        raise SettingsError(
            f"no importer is called {name!r}; known importers: {', '.join(IMPORTERS)}",
            hint="aura data import --help says what each of them reads",
        )
    return IMPORTERS[name].load()


def source_names() -> tuple[str, ...]:
    """Every source that can be prepared: the drawn one and those with an importer."""
    return (SYNTHETIC, *IMPORTERS)


def sources_with(table: Table) -> tuple[str, ...]:
    """Every source that gives a table."""
    return (SYNTHETIC, *(name for name, entry in IMPORTERS.items() if table in entry.tables))
