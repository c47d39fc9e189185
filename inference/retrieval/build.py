"""Build the index, judge it, and serve it when it is good enough. Stage entry of `dvc.yaml`.

    python -m inference.retrieval.build --params params.yaml --data DATA --out metrics/index.json

Both tables are brought up to date on their newest versions, which no reader looks at. Then candidate and served index
answer the same labelled queries in the same run, and only a candidate without objections is published. A rejected
build stays in the tables as the starting point of the next one; readers never see it.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import lancedb
from rich.console import Console
from rich.table import Table as ConsoleTable

from aura.artifact import write_json
from aura.error_file import reporting_errors
from aura.errors import IndexNotReadyError
from aura.fingerprints import libraries_behind
from aura.lineage import value_hash
from aura.paths import profile_paths
from aura.settings import add_settings_options, chosen_settings, validate
from aura.supervision import die_with_parent
from inference.image_encoder import ImageEncoder
from inference.references import weights_behind
from inference.retrieval.catalog import read_catalog
from inference.retrieval.chunks import read_pages
from inference.retrieval.integrity import KEYS, mend, set_aside
from inference.retrieval.judge import Judgement, judge, objections, read_queries
from inference.retrieval.object_store import reaching_store
from inference.retrieval.releases import (
    PREVIOUS,
    SERVING,
    Release,
    connect,
    drop_damaged,
    now,
    publish,
    read_releases,
    repair_tags,
)
from inference.retrieval.search import Index, image_embedder_for, open_release
from inference.retrieval.settings import IndexSettings, RetrievalSettings
from inference.retrieval.sync import TableChange, sync_table
from inference.retrieval.tables import TextEmbedderLike, catalog_source, knowledge_source
from inference.retrieval.writer_lock import writer_lock
from inference.text_embedding import text_embedder_for


class _Named(Protocol):
    @property
    def reference(self) -> str: ...


logger = logging.getLogger(__name__)
_Model = TypeVar("_Model", bound=_Named)
Verdict = Literal["promoted", "rejected", "unchanged", "held"]


@dataclass(frozen=True, kw_only=True)
class IndexReport:
    """What a build did.

    verdict: `promoted`; `rejected` (`reasons` say why); `unchanged` (the served release has this content already); `held`
    (this content was rolled back by an operator and has not changed since).
    version: number of the release that is served after the build, None when there is none yet.
    """

    verdict: Verdict
    reasons: list[str]
    version: int | None
    knowledge: TableChange
    catalog: TableChange
    queries: int
    candidate: Judgement
    serving: Judgement | None
    seconds: float

    def to_json(self) -> dict[str, Any]:
        """Plain values for `metrics/index.json`."""
        return {
            "verdict": self.verdict,
            "reasons": self.reasons,
            "version": self.version,
            "queries": self.queries,
            "seconds": round(self.seconds, 2),
            "knowledge": asdict(self.knowledge),
            "catalog": asdict(self.catalog),
            "candidate": _judgement_json(self.candidate),
            "serving": None if self.serving is None else _judgement_json(self.serving),
        }


def build_index(
    settings: RetrievalSettings,
    uri: Path | str,
    pages_dir: Path,
    queries_path: Path,
    catalog_dir: Path,
    embedder: TextEmbedderLike,
    image_embedder: ImageEncoder | None = None,
    text_embedders: Callable[[str], TextEmbedderLike] = text_embedder_for,
) -> IndexReport:
    """Bring the index at `uri` up to date and serve it if it passes.

    Args:
        queries_path: labelled queries, a JSON Lines file or a folder of such files.
        image_embedder: overrides the one that `settings.image_embedder` names.
        text_embedders: loads the served release's model where that is not `embedder`.

    Raises:
        DataError: broken pages, queries or catalog; the served index stays as it is.
        BusyError: another build is running.
        IndexUnavailableError: the object store of the index does not answer; what serves there stays.
    """
    started = time.monotonic()
    pages = read_pages(pages_dir)
    queries = read_queries(queries_path, pages)
    items = read_catalog(catalog_dir)
    images = image_embedder or image_embedder_for(settings.image_embedder)
    # Vectors of two versions of a model or of its libraries must not meet in one table.
    made_with = value_hash([libraries_behind(["inference.retrieval.build"]), weights_behind(settings.model_dump())])
    with writer_lock(str(uri), settings.writer_wait_s) as lock, reaching_store():
        connection = _whole_tables(str(uri))
        repair_tags(connection)
        knowledge = sync_table(
            connection, knowledge_source(pages, settings.chunk_max_words, embedder, made_with), settings
        )
        catalog = sync_table(connection, catalog_source(items, catalog_dir, embedder, images, made_with), settings)
        releases = read_releases(connection)
        candidate = Release(
            number=1 + max((release.number for release in releases.values()), default=0),
            knowledge_version=knowledge.version,
            catalog_version=catalog.version,
            text_embedder=embedder.reference,
            image_embedder=images.reference,
            search=settings.search,
            metrics={},
            built_at=now(),
        )
        text_models = _reusing(embedder, text_embedders)
        image_models = _reusing(images, image_embedder_for)

        def judge_release(release: Release) -> Judgement:
            snapshot = open_release(connection, release, text_models, image_models)
            return judge(queries, Index(connection, snapshot).rank_sections, settings.judge)

        judged = judge_release(candidate)
        serving = releases.get(SERVING)
        same = serving is not None and candidate.same_content(serving)
        served = None if serving is None else judged if same else judge_release(serving)
        verdict, reasons = _decide(candidate, releases, objections(judged, served, settings.judge))
        if verdict == "promoted":
            publish(connection, replace(candidate, metrics=judged.metrics), lock.check)
            serving = candidate
    return IndexReport(
        verdict=verdict,
        reasons=reasons,
        version=None if serving is None else serving.number,
        knowledge=knowledge,
        catalog=catalog,
        queries=len(queries),
        candidate=judged,
        serving=served,
        seconds=time.monotonic() - started,
    )


def _whole_tables(uri: str) -> lancedb.DBConnection:
    """Connection to tables that can be worked on: damaged ones begin with a release's rows, or with none."""
    connection = connect(uri)
    try:
        releases = drop_damaged(connection)
        had = bool(read_releases(connection))
    except IndexNotReadyError as error:
        logger.warning("%s", error.message)
        releases, had = {}, True
    served = {name: {key: release.versions[name] for key, release in releases.items()} for name in KEYS}
    if (had and not releases) or not mend(connection, uri, served):
        set_aside(connection, uri)
        connection = connect(uri)
    return connection


def _reusing(model: _Model, load: Callable[[str], _Model]) -> Callable[[str], _Model]:
    """A loader that returns `model` for its own reference; the served release may need another model."""
    return lambda reference: model if reference == model.reference else load(reference)


def _decide(candidate: Release, releases: Mapping[str, Release], found: list[str]) -> tuple[Verdict, list[str]]:
    serving, previous = releases.get(SERVING), releases.get(PREVIOUS)
    if serving is not None and candidate.same_content(serving):
        return "unchanged", found
    if previous is not None and previous.rolled_back and candidate.same_content(previous):
        return "held", [f"release {previous.number} has this content and was rolled back; change the content first"]
    return ("rejected", found) if found else ("promoted", [])


def _judgement_json(judgement: Judgement) -> dict[str, Any]:
    intervals = {f"{name}_ci95": list(interval) for name, interval in judgement.intervals.items()}
    return {**judgement.metrics, **intervals}


def show(report: IndexReport, console: Console) -> None:
    """Print what happened as a table."""
    table = ConsoleTable(title=f"index: {report.verdict}, serving release {report.version} ({report.seconds:.1f} s)")
    for heading in ("", "served before", "candidate", "95 % interval"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, value in report.candidate.metrics.items():
        before = "-" if report.serving is None else f"{report.serving.metrics[name]:.3f}"
        low, high = report.candidate.intervals[name]
        table.add_row(name, before, f"{value:.3f}", f"{low:.3f} to {high:.3f}")
    for name, change in (("knowledge", report.knowledge), ("catalog", report.catalog)):
        text = f"+{change.added} ~{change.changed} -{change.deleted} ={change.unchanged}"
        table.add_row(f"{name} rows", "", str(change.rows), text)
    console.print(table)
    for reason in report.reasons:
        console.print(f"  {reason}")


@reporting_errors
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the stage; returns the exit status. A rejected candidate is a result, not a failure."""
    parser = argparse.ArgumentParser(description="Build, judge and serve the retrieval index.")
    add_settings_options(parser)
    parser.add_argument("--data", type=Path, required=True, help="prepared data: knowledge/ and catalog/")
    parser.add_argument("--out", type=Path, required=True, help="JSON file for the metrics")
    options = parser.parse_args(arguments)
    die_with_parent()
    values = chosen_settings(options)
    settings = validate(RetrievalSettings, values.get("retrieval"), "retrieval")
    index = validate(IndexSettings, values.get("index"), "index")
    report = build_index(
        settings,
        index.address(profile_paths(str(values["profile"]))),
        options.data / "knowledge" / "pages",
        options.data / "knowledge" / "queries.jsonl",
        options.data / "catalog",
        text_embedder_for(settings.text_embedder),
    )
    write_json(options.out, report.to_json())
    show(report, Console())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
