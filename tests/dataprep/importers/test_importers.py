"""An importer is a file and an entry of a table: command line, settings and messages take the names from there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.testing import CliRunner

import dataprep.importers
from aura.errors import DataError, SettingsError
from aura.paths import home
from aura.prepared_rows import CatalogRow, read_rows
from aura.problems import Problems
from dataprep.importers import (
    IMPORTERS,
    Importer,
    ImporterEntry,
    Original,
    importer,
    of_one_folder,
    source_names,
    sources_with,
)
from dataprep.join import RawSources
from dataprep.prepare import prepare
from dataprep.raw_source import read_manifest
from dataprep.settings import DataSettings
from flows.cli.app import app
from tests.dataprep.coco_originals import write_modanet
from tests.dataprep.originals import write_ccp, write_clothing
from tests.dataprep.tiny_sample import TINY

TOY = """
from PIL import Image

from aura.prepared_rows import CatalogRow, write_rows
from aura.taxonomy import Category
from dataprep.raw_source import ImportReport, check_layout, writing


def import_toy(path, raw_dir, settings):
    check_layout(path, ("hats.txt",), "hats.txt")
    report = ImportReport("toy", "CC0", "example.org/toy")
    with writing(raw_dir, report, settings.imports) as folder:
        (folder / "catalog" / "images").mkdir(parents=True)
        rows = []
        with (path / "hats.txt").open() as names:
            for number, name in enumerate(names):
                image = f"images/toy-{number}.png"
                Image.new("RGB", (32, 32), "red").save(folder / "catalog" / image)
                rows.append(
                    CatalogRow(
                        item_id=f"toy-{number}", category=Category.HATS, title=name.strip(), attributes={},
                        description="A hat.", image=image,
                    )
                )
        report.counts = {"catalog": write_rows(folder / "catalog" / "catalog.jsonl", rows)}
    return report
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new importer, one file and one entry, and a folder in its layout."""
    modules = tmp_path / "modules"
    modules.mkdir()
    (modules / "toy.py").write_text(TOY)
    monkeypatch.setattr(dataprep.importers, "__path__", [*dataprep.importers.__path__, str(modules)])

    def load() -> Importer:
        from dataprep.importers.toy import import_toy  # type: ignore[import-not-found]

        return of_one_folder(import_toy)

    entry = ImporterEntry(load=load, usage="toy PATH", summary="Toy hats.", tables=("catalog",))
    monkeypatch.setitem(IMPORTERS, "toy", entry)
    original = tmp_path / "original"
    original.mkdir()
    (original / "hats.txt").write_text("Red hat\nBlue hat\n")
    return original


def test_a_new_importer_is_a_file_and_an_entry(toy: Path, knowledge: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["data", "import", "toy", str(toy)])
    assert done.exit_code == 0, done.output
    assert "toy: 2 catalog" in done.output
    assert read_manifest(home() / "raw" / "toy").licence == "CC0"
    settings = DataSettings(sources=["sample", "toy"], sample=TINY)
    prepare(settings, home() / "raw", knowledge, tmp_path / "data")
    rows = read_rows(tmp_path / "data" / "catalog" / "catalog.jsonl", CatalogRow)
    assert [row.title for row in rows[-2:]] == ["Red hat", "Blue hat"]
    assert "| toy | CC0 | 2 catalog |" in (tmp_path / "data" / "card.md").read_text()


@pytest.mark.usefixtures("toy")
def test_messages_name_a_new_importer(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=rf"'capes'; known importers: {', '.join(IMPORTERS)}"):
        importer("capes")
    with pytest.raises(ValidationError, match=f"known sources: {', '.join(source_names())}"):
        DataSettings(sources=["capes"])
    (tmp_path / "raw" / "toy").mkdir(parents=True)
    with pytest.raises(
        DataError, match=rf"no source of \['toy'\] has catalog data(.|\n)*{', '.join(sources_with('catalog'))}"
    ):
        RawSources(DataSettings(sources=["toy"]), tmp_path / "raw", Problems()).having("catalog")
    assert "toy" not in sources_with("detection")
    assert source_names() == ("sample", *IMPORTERS)
    assert list(IMPORTERS)[-1] == "toy"


def test_an_unknown_name_on_the_command_line_lists_the_known_ones(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["data", "import", "capes", str(tmp_path)])
    assert isinstance(done.exception, SettingsError)
    assert "known importers: ccp, clothing" in str(done.exception)


def test_one_folder_is_one_folder() -> None:
    for paths in ([], ["a", "b"], ["a", "--map", "b"]):
        done = CliRunner().invoke(app, ["data", "import", "ccp", *paths])
        assert isinstance(done.exception, SettingsError)
        assert done.exception.hint == "aura data import ccp PATH"


def test_the_help_describes_every_importer() -> None:
    shown = CliRunner().invoke(app, ["data", "import", "--help"], env={"COLUMNS": "200"}).output
    plain = " ".join(re.sub(r"[│╭╮╰╯─]|\x1b\[[0-9;]*m", " ", shown).split())
    for name, entry in IMPORTERS.items():
        assert f"{name}: {entry.summary.split(':')[0]}" in plain


@pytest.mark.parametrize("name", IMPORTERS)
def test_every_entry_leads_to_a_function(name: str) -> None:
    assert callable(importer(name))
    assert IMPORTERS[name].summary.endswith(".")


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("ccp", lambda folder: (write_ccp(folder),)),
        ("clothing", lambda folder: (write_clothing(folder),)),
        ("coco", write_modanet),
    ],
)
def test_an_importer_gives_the_tables_that_its_entry_names(
    name: str, write: Callable[[Path], tuple[Path, ...]], tmp_path: Path, tiny: DataSettings
) -> None:
    report = importer(name)(Original(paths=write(tmp_path / "original")), tmp_path / "raw" / name, tiny)
    assert report.source == name
    given = {folder.name for folder in (tmp_path / "raw" / name).iterdir() if folder.is_dir()}
    assert given == set(IMPORTERS[name].tables)
