"""Join the raw sources, check them, split them, and write the data that training reads: the `prepare` stage.

    python -m dataprep.prepare --params params.yaml --out data

The output appears in one rename. Images are hard-linked where the file system can: raw sources are never written in
place, so nothing is copied twice.
"""

from __future__ import annotations

import argparse
import shutil
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from aura.artifact import content_hash
from aura.error_file import reporting_errors
from aura.output_folders import PREPARED_DATA, refuse_foreign, refuse_overlap, replace_output
from aura.paths import home, repo_root
from aura.problems import Problems
from aura.settings import add_settings_options, chosen_settings, validate
from aura.supervision import die_with_parent
from aura.training_sources import Source, TrainingSources
from dataprep.card import write_card
from dataprep.importers import SYNTHETIC, Table, usage_of
from dataprep.join import RawSources, join_catalog, join_detection, join_dialogues, join_outfits
from dataprep.knowledge import copy_knowledge
from dataprep.questions import copy_questions
from dataprep.raw_source import Manifest, locked, read_manifest
from dataprep.settings import DataSettings, ImportSettings, SourceName
from dataprep.synthetic.source import write_sample

_LOCK_WAIT_SECONDS = 120.0
"""Seconds that preparation waits for an import that holds a source."""


def prepare(settings: DataSettings, raw_root: Path, knowledge_dir: Path, out_dir: Path) -> dict[str, Any]:
    """Write the prepared data to `out_dir`; returns its counts.

    Raises:
        BusyError: a source is being imported.
        DataError: a source is missing, or lists every row that is wrong.
        ForeignFolderError: `out_dir` is there, and holds no prepared data.
        SettingsError: a raw source or the knowledge base lies in `out_dir`.
    """
    refuse_overlap({"--out": out_dir}, {"--raw": raw_root, "the knowledge base": knowledge_dir})
    refuse_foreign({out_dir: PREPARED_DATA})
    with ExitStack() as locks:
        for source in sorted(settings.sources):
            locks.enter_context(locked(raw_root / source, wait_seconds=_LOCK_WAIT_SECONDS))
        if SYNTHETIC in settings.sources:
            write_sample(raw_root / SYNTHETIC, settings.sample)
        return _prepare(settings, raw_root, knowledge_dir, out_dir)


def _prepare(settings: DataSettings, raw_root: Path, knowledge_dir: Path, out_dir: Path) -> dict[str, Any]:
    """Prepare while the sources are locked."""
    manifests = {source: read_manifest(raw_root / source) for source in settings.sources}
    _warn_of_other_imports(manifests, settings.imports)
    building = out_dir.with_name(f".{out_dir.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    problems = Problems()
    sources = RawSources(settings, raw_root, problems)
    counts: dict[str, Any] = {}
    with problems.collect("detection"):
        counts["detection"] = join_detection(sources, building / "detection")
    with problems.collect("outfits"):
        counts["outfits"] = join_outfits(sources, building / "outfits")
    with problems.collect("catalog"):
        counts["catalog"] = join_catalog(sources, building / "catalog")
    with problems.collect("knowledge"):
        slugs = copy_knowledge(knowledge_dir, building / "knowledge")
        questions = copy_questions(knowledge_dir, building / "knowledge" / "questions", problems)
        counts["knowledge"] = {
            "pages": len(slugs),
            "questions": {split: dict(Counter(row.kind for row in rows)) for split, rows in questions.items()},
        }
        counts["chat"] = join_dialogues(settings, knowledge_dir, slugs, building / "chat", problems)
    problems.raise_if_any(
        "the raw data", hint="import the source again (aura data import), or correct what is named above"
    )
    for table in ("detection", "outfits", "catalog"):
        _record_sources(sources, table, manifests, building / table)
    hashes = {folder.name: content_hash(folder) for folder in sorted(building.iterdir())}
    write_card(building, settings, manifests, counts, hashes)
    replace_output(building, out_dir, PREPARED_DATA)
    return counts


def _record_sources(sources: RawSources, table: Table, manifests: Mapping[SourceName, Manifest], folder: Path) -> None:
    """Beside a table, where its rows come from: models that learn from it record that."""
    TrainingSources(
        sources=tuple(
            Source(
                name=source,
                drawn=source == SYNTHETIC,
                licence=manifests[source].licence,
                origin=manifests[source].origin,
            )
            for source, _ in sources.having(table)
        )
    ).write(folder)


def _warn_of_other_imports(manifests: Mapping[SourceName, Manifest], imports: ImportSettings) -> None:
    """Name the import settings of this profile that differ from those of the imported source."""
    wanted = imports.content_settings()
    for source, manifest in manifests.items():
        had = manifest.settings if source != SYNTHETIC else {}
        differ = [
            f"{key}={had[key]} instead of {wanted[key]}" for key in wanted if key in had and had[key] != wanted[key]
        ]
        if differ:
            warnings.warn(
                f"{source} was imported with {', '.join(differ)}; `aura data import {usage_of(source)}` with this "
                "profile brings it in step",
                stacklevel=2,
            )


@reporting_errors
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="dataprep.prepare", description=(__doc__ or "").splitlines()[0])
    add_settings_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--raw", type=Path, default=None, help="raw sources; default: raw/ in the home folder")
    options = parser.parse_args(arguments)
    die_with_parent()
    settings = validate(DataSettings, chosen_settings(options).get("data"), "data")
    counts = prepare(settings, options.raw or home() / "raw", repo_root() / "data" / "knowledge", options.out)
    for name, numbers in counts.items():
        print(f"{name}: {numbers}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
