"""Importers of public data sets, in one table.

To add an importer, write a module with a function `(original, raw_dir, settings) -> ImportReport` that fills a raw source
(see `dataprep.raw_source`), and add a line to `IMPORTERS`. One that reads a single folder may take its path as the original:
see `of_one_folder`. The command line, the settings and the error messages take the names from there.
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


@dataclass(frozen=True, kw_only=True)
class Original:
    """What a person names for an import.

    Attributes:
        paths: files and folders in the order of the importer's usage.
        hub_name: name of a data set on the hub, for the importer that reads one.
        category_map: YAML file with what the categories of the data set are to Aura.
    """

    paths: tuple[Path, ...] = ()
    hub_name: str = ""
    category_map: Path | None = None


Importer = Callable[[Original, Path, "DataSettings"], "ImportReport"]


@dataclass(frozen=True, kw_only=True)
class ImporterEntry:
    """An importer that is loaded when it is used: every command reads this table, and NumPy and SciPy take a second.

    Attributes:
        load: imports the module and returns its function.
        usage: what follows `aura data import`, for help and hints.
        summary: a sentence for the help of the command line.
        tables: what the source gives.
    """

    load: Callable[[], Importer]
    usage: str
    summary: str
    tables: tuple[Table, ...]


def of_one_folder(read: Callable[[Path, Path, DataSettings], ImportReport]) -> Importer:
    """An importer of a single folder."""

    def run(original: Original, raw_dir: Path, settings: DataSettings) -> ImportReport:
        if len(original.paths) != 1 or original.category_map:
            raise SettingsError(
                f"{raw_dir.name} is imported from one folder alone, not from {len(original.paths)} paths or with a map",
                hint=f"aura data import {usage_of(raw_dir.name)}",
            )
        return read(original.paths[0], raw_dir, settings)

    return run


def _ccp() -> Importer:
    from dataprep.importers.ccp import import_ccp

    return of_one_folder(import_ccp)


def _clothing() -> Importer:
    from dataprep.importers.clothing import import_clothing

    return of_one_folder(import_clothing)


def _polyvore() -> Importer:
    from dataprep.importers.polyvore import import_polyvore

    return of_one_folder(import_polyvore)


def _hub() -> Importer:
    from dataprep.importers.hub import import_hub

    return import_hub


def _coco() -> Importer:
    from dataprep.importers.coco import import_coco

    return import_coco


IMPORTERS: dict[str, ImporterEntry] = {
    "ccp": ImporterEntry(
        load=_ccp,
        usage="ccp PATH",
        summary="Clothing Co-Parsing street photos: boxes, outfits and catalog items from the pixel labels.",
        tables=("detection", "outfits", "catalog"),
    ),
    "clothing": ImporterEntry(
        load=_clothing,
        usage="clothing PATH",
        summary="Product photos of single garments: catalog items.",
        tables=("catalog",),
    ),
    "coco": ImporterEntry(
        load=_coco,
        usage="coco ANNOTATIONS IMAGES [ANNOTATIONS IMAGES ...] [--map FILE]",
        summary="Photos annotated in COCO format: boxes, and outfits and catalog items where there are masks.",
        tables=("detection", "outfits", "catalog"),
    ),
    "polyvore": ImporterEntry(
        load=_polyvore,
        usage="polyvore PATH",
        summary="Polyvore Outfits: outfits with its own splits and questions, and catalog items.",
        tables=("outfits", "catalog"),
    ),
    "hf": ImporterEntry(
        load=_hub,
        usage="hf:NAME[@COMMIT] [--map FILE]",
        summary="An object detection set of the hub, streamed: boxes.",
        tables=("detection",),
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


def usage_of(source: str) -> str:
    """What follows `aura data import` to bring a source in."""
    return IMPORTERS[source].usage if source in IMPORTERS else source


def source_names() -> tuple[str, ...]:
    """Every source that can be prepared: the drawn one and those with an importer."""
    return (SYNTHETIC, *IMPORTERS)


def sources_with(table: Table) -> tuple[str, ...]:
    """Every source that gives a table."""
    return (SYNTHETIC, *(name for name, entry in IMPORTERS.items() if table in entry.tables))
