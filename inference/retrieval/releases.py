"""Which versions of the two tables are served: releases, tags, the writer's lock, rollback.

A release names one version of `knowledge` and one of `catalog`, the models that embedded them and the search settings
that they were judged with. The table `releases` has a row `serving` and a row `previous`, rewritten together in one
Lance commit: that commit is the moment of publishing. Tags alone do not suffice, because a tag belongs to one table and
two tags cannot move at once. A JSON file would suffice, but on an object store it would need a second client with its own
credentials, while a Lance table lies where the other two are.

The Lance tags `serving` and `previous` on both tables say the same and protect those versions from cleanup. They move
after the commit; until then the tag `candidate` protects what is about to be served, so the
versions that the releases name are always tagged. A kill in between leaves outdated tags; the next writer repairs them
first.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import lancedb
import pyarrow as pa
from filelock import FileLock, Timeout
from lancedb.table import Table

from aura.errors import BusyError, IndexNotReadyError
from aura.paths import home
from inference.retrieval.settings import SearchSettings
from inference.retrieval.tables import CATALOG, KNOWLEDGE

SERVING, PREVIOUS, CANDIDATE = "serving", "previous", "candidate"
RELEASES = "releases"
BUILD_HINT = "run `aura index build`"

_SCHEMA = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("number", pa.int64()),
        pa.field("knowledge_version", pa.int64()),
        pa.field("catalog_version", pa.int64()),
        pa.field("text_embedder", pa.string()),
        pa.field("image_embedder", pa.string()),
        pa.field("search", pa.string()),
        pa.field("metrics", pa.string()),
        pa.field("built_at", pa.string()),
        pa.field("rolled_back", pa.bool_()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Release:
    """One judged state of the index. `number` counts up from 1 and stays with the release when it is rolled back to."""

    number: int
    knowledge_version: int
    catalog_version: int
    text_embedder: str
    image_embedder: str
    search: SearchSettings
    metrics: dict[str, float]
    built_at: str
    rolled_back: bool = False

    def same_content(self, other: Release) -> bool:
        """Whether both would answer every query alike."""
        return self._content() == other._content()

    def _content(self) -> tuple[object, ...]:
        models = (self.text_embedder, self.image_embedder)
        return (self.knowledge_version, self.catalog_version, *models, self.search)


def now() -> str:
    """UTC time for `built_at`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def connect_existing(uri: str) -> lancedb.DBConnection:
    """Connection for a reader; creates nothing.

    Raises:
        IndexNotReadyError: a local folder that does not exist.
    """
    if not _is_remote(uri) and not Path(uri).is_dir():
        raise IndexNotReadyError(f"no index at {uri}", hint=BUILD_HINT)
    return lancedb.connect(uri)


def read_releases(connection: lancedb.DBConnection) -> dict[str, Release]:
    """Releases by name (`serving`, `previous`); empty before the first one."""
    try:
        table = connection.open_table(RELEASES)
    except ValueError:
        return {}
    return {row.pop("name"): _from_row(row) for row in table.to_arrow().to_pylist()}


def serving_release(connection: lancedb.DBConnection) -> Release:
    """The release that readers open.

    Raises:
        IndexNotReadyError: no build has passed yet.
    """
    releases = read_releases(connection)
    if SERVING not in releases:
        raise IndexNotReadyError(f"no release of the index is served at {connection.uri}", hint=BUILD_HINT)
    return releases[SERVING]


def served_release(uri: str | Path) -> int | None:
    """Number of the release that readers find at `uri`; None when they find none."""
    try:
        return serving_release(connect_existing(str(uri))).number
    except IndexNotReadyError:
        return None


def publish(connection: lancedb.DBConnection, release: Release) -> None:
    """Serve `release`; what was served becomes `previous`. The caller holds the writer's lock."""
    releases = {SERVING: release}
    if (served := read_releases(connection).get(SERVING)) is not None:
        releases[PREVIOUS] = served
    _commit(connection, releases)


def rollback(uri: str | Path, writer_wait_s: float = 10.0) -> Release:
    """Serve the release before, and keep the current one as `previous`, so that a second rollback undoes the first.

    Returns the release that is served now. The one rolled back is marked: a build does not promote it again until its
    content changes.

    Raises:
        IndexNotReadyError: nothing is served, or there is no release before it.
        BusyError: a build is running.
    """
    connection = connect_existing(str(uri))
    with writer_lock(str(uri), writer_wait_s):
        served = serving_release(connection)
        previous = read_releases(connection).get(PREVIOUS)
        if previous is None:
            raise IndexNotReadyError(
                f"release {served.number} is the first one: nothing to roll back to", hint=BUILD_HINT
            )
        restored = replace(previous, rolled_back=False)
        _commit(connection, {SERVING: restored, PREVIOUS: replace(served, rolled_back=True)})
    return restored


def repair_tags(connection: lancedb.DBConnection) -> None:
    """Make the tags of both tables match the releases. Without a release there are no tags."""
    releases = read_releases(connection)
    for name in (PREVIOUS, SERVING):
        if name in releases:
            for table, version in _tables(connection, releases[name]):
                _set_tag(table, name, version)
    if SERVING in releases:
        for table, _ in _tables(connection, releases[SERVING]):
            if CANDIDATE in table.tags.list():
                table.tags.delete(CANDIDATE)


@contextmanager
def writer_lock(uri: str, wait_s: float) -> Iterator[None]:
    """Lock of the single writer of an index. The system drops it when the holder dies.

    The lock file lies beside a local database. For an object store it lies under the home folder and covers this
    machine only; there, let one scheduler run the builds.

    Raises:
        BusyError: another writer held it for longer than `wait_s` seconds.
    """
    if _is_remote(uri):
        path = home() / "locks" / f"index-{hashlib.sha256(uri.encode()).hexdigest()[:16]}.lock"
    else:
        path = Path(uri).with_name(f"{Path(uri).name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(path, timeout=wait_s):
            yield
    except Timeout as error:
        raise BusyError(f"another build is writing to the index at {uri}", hint="wait until it has ended") from error


def _is_remote(uri: str) -> bool:
    return "://" in uri


def _tables(connection: lancedb.DBConnection, release: Release) -> list[tuple[Table, int]]:
    versions = {KNOWLEDGE: release.knowledge_version, CATALOG: release.catalog_version}
    return [(connection.open_table(name), version) for name, version in versions.items()]


def _set_tag(table: Table, tag: str, version: int) -> None:
    tags = table.tags.list()
    if tag not in tags:
        table.tags.create(tag, version)
    elif tags[tag]["version"] != version:
        table.tags.update(tag, version)


def _commit(connection: lancedb.DBConnection, releases: Mapping[str, Release]) -> None:
    for table, version in _tables(connection, releases[SERVING]):
        _set_tag(table, CANDIDATE, version)
    rows = [_to_row(name, release) for name, release in releases.items()]
    table = connection.create_table(RELEASES, schema=_SCHEMA, exist_ok=True)
    table.add(pa.Table.from_pylist(rows, schema=_SCHEMA), mode="overwrite")
    table.optimize()
    repair_tags(connection)


def _to_row(name: str, release: Release) -> dict[str, object]:
    return asdict(release) | {
        "name": name,
        "search": release.search.model_dump_json(),
        "metrics": json.dumps(release.metrics, sort_keys=True),
    }


def _from_row(row: dict[str, object]) -> Release:
    search = SearchSettings.model_validate_json(str(row["search"]))
    return Release(**(row | {"search": search, "metrics": json.loads(str(row["metrics"]))}))  # type: ignore[arg-type]
