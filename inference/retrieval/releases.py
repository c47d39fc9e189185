"""Which versions of the two tables are served: releases, tags, rollback.

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
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import lancedb
import pyarrow as pa
from lancedb.table import Table

from aura.errors import ForeignFolderError, IndexNotReadyError
from aura.paths import held
from aura.releases import IndexVersion
from inference.retrieval.integrity import KEYS, LANCE_ERRORS, RELEASES, content_digest, damage
from inference.retrieval.object_store import connect_remote, is_remote, reaching_store, refuse_away
from inference.retrieval.settings import SearchSettings
from inference.retrieval.tables import CATALOG, KNOWLEDGE, PICTURE
from inference.retrieval.writer_lock import writer_lock

SERVING, PREVIOUS, CANDIDATE = "serving", "previous", "candidate"
BUILD_HINT = "run `aura index build`"

logger = logging.getLogger(__name__)

_FIRST_FUSION = {"fusion": "ranks"}
"""How a release is searched that was published before there was another way."""
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
        pa.field("digest", pa.string()),
    ]
)


@dataclass(frozen=True, kw_only=True)
class Release:
    """One judged state of the index. `number` counts up from 1 and stays with the release when it is rolled back to.

    `digest` is a hash of all rows of both tables; empty in a release from before there were digests.
    """

    number: int
    knowledge_version: int
    catalog_version: int
    text_embedder: str
    image_embedder: str
    search: SearchSettings
    metrics: dict[str, float]
    built_at: str
    rolled_back: bool = False
    digest: str = ""

    @property
    def versions(self) -> dict[str, int]:
        """Table to its version."""
        return {KNOWLEDGE: self.knowledge_version, CATALOG: self.catalog_version}

    @property
    def identity(self) -> IndexVersion:
        """What a release of everything that serves calls this one."""
        return IndexVersion(number=self.number, digest=self.digest)

    def same_content(self, other: Release) -> bool:
        """Whether both would answer every query alike."""
        return self._content() == other._content()

    def _content(self) -> tuple[object, ...]:
        models = (self.text_embedder, self.image_embedder)
        return (self.knowledge_version, self.catalog_version, *models, self.search)


def now() -> str:
    """UTC time for `built_at`."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def connect(uri: str) -> lancedb.DBConnection:
    """Connection for a writer; makes a local folder."""
    if is_remote(uri):
        return connect_remote(uri)
    Path(uri).mkdir(parents=True, exist_ok=True)
    return lancedb.connect(str(held(Path(uri))))


def connect_existing(uri: str) -> lancedb.DBConnection:
    """Connection for a reader; creates nothing. It goes on reading when the folder is moved.

    Raises:
        IndexNotReadyError: a local folder that does not exist.
    """
    if not is_remote(uri) and not Path(uri).is_dir():
        raise IndexNotReadyError(f"no index at {uri}", hint=BUILD_HINT)
    return connect(uri)


def present(connection: lancedb.DBConnection, uri: str) -> lancedb.DBConnection:
    """The connection, or another one where the folder at `uri` is no longer that of the connection: deleted and built again.

    When there is no folder at `uri`, it was moved, and is still the connection's.
    """
    if not uri or is_remote(uri) or not Path(uri).is_dir() or str(held(Path(uri))) == str(connection.uri):
        return connection
    return connect(uri)


def place(connection: lancedb.DBConnection) -> str:
    """Where the index lies now, for people."""
    return str(connection.uri) if is_remote(str(connection.uri)) else str(Path(str(connection.uri)).resolve())


def read_releases(connection: lancedb.DBConnection) -> dict[str, Release]:
    """Releases by name (`serving`, `previous`); empty before the first one.

    Raises:
        IndexNotReadyError: the list of releases is damaged.
        IndexUnavailableError: the object store of the index does not answer.
        ForeignFolderError: somebody else has a table of that name there.
    """
    try:
        table = connection.open_table(RELEASES)
    except LANCE_ERRORS as error:
        refuse_away(error)
        if isinstance(error, ValueError):
            return {}
        raise _damaged_list(connection, error) from error
    if "knowledge_version" not in table.schema.names:
        raise ForeignFolderError(
            f"Aura did not make the table {RELEASES!r} in {place(connection)}, and would replace it",
            hint="give the index a database of its own",
        )
    try:
        return {row.pop("name"): _from_row(row) for row in table.to_arrow().to_pylist()}
    except LANCE_ERRORS as error:
        refuse_away(error)
        raise _damaged_list(connection, error) from error


def _damaged_list(connection: lancedb.DBConnection, error: Exception) -> IndexNotReadyError:
    return IndexNotReadyError(
        f"the releases of the index at {place(connection)} cannot be read: {error}", hint=BUILD_HINT
    )


def serving_release(connection: lancedb.DBConnection) -> Release:
    """The release that readers open.

    Raises:
        IndexNotReadyError: no build has passed yet.
    """
    releases = read_releases(connection)
    if SERVING not in releases:
        raise IndexNotReadyError(f"no release of the index is served at {place(connection)}", hint=BUILD_HINT)
    return releases[SERVING]


def served_index(uri: str | Path) -> IndexVersion | None:
    """The release that is served at `uri`, whether it can be read or not; None when there is none."""
    try:
        return serving_release(connect_existing(str(uri))).identity
    except IndexNotReadyError:
        return None


def kept_release(connection: lancedb.DBConnection, wanted: IndexVersion) -> Release:
    """The release that is asked for: the one that is served or the one before, whose rows no cleanup removes.

    Raises:
        IndexNotReadyError: it is neither.
    """
    kept = read_releases(connection).values()
    for release in kept:
        if release.identity == wanted:
            return release
    raise IndexNotReadyError(
        f"the index at {place(connection)} no longer keeps release {wanted.number} with the rows that were published; "
        f"it keeps: {', '.join(str(release.number) for release in kept) or 'none'}",
        hint=BUILD_HINT,
    )


def served_release(uri: str | Path) -> int | None:
    """Number of the release that readers find at `uri`; None when they find none, or one that is damaged."""
    release = readable_release(uri)
    return None if release is None else release.number


def readable_release(uri: str | Path) -> Release | None:
    """The release that readers find at `uri`; None when they find none, or one that is damaged."""
    try:
        connection = connect_existing(str(uri))
        release = serving_release(connection)
    except IndexNotReadyError:
        return None
    return None if damaged(connection, release) else release


def damaged(connection: lancedb.DBConnection, release: Release) -> str:
    """Why a release cannot be searched; empty when it can."""
    for name, version in release.versions.items():
        try:
            table = connection.open_table(name)
            table.checkout(version)
        except LANCE_ERRORS as error:
            refuse_away(error)
            return f"{name}: {error}"
        if problem := damage(table, KEYS[name]):
            return f"{name}: {problem}"
    return ""


def publish(connection: lancedb.DBConnection, release: Release, still_alone: Callable[[], None] | None = None) -> None:
    """Serve `release`; what was served becomes `previous`. The caller holds the writer's lock.

    Args:
        still_alone: raises where the lock was lost meanwhile; asked at the last moment, as the rows are hashed before.
    """
    releases = {SERVING: replace(release, digest=_digest(connection, release))}
    if (served := read_releases(connection).get(SERVING)) is not None:
        releases[PREVIOUS] = served
    if still_alone is not None:
        still_alone()
    _commit(connection, releases)


def drop_damaged(connection: lancedb.DBConnection) -> dict[str, Release]:
    """Forget releases that cannot be searched, and return the others; serves `previous` where only that one is whole.

    The caller holds the writer's lock.

    Raises:
        IndexNotReadyError: the list of releases is damaged.
    """
    releases = read_releases(connection)
    whole = {}
    for name, release in releases.items():
        if problem := damaged(connection, release):
            logger.warning("release %d of the index (%s) is damaged: %s", release.number, name, problem)
        else:
            whole[name] = release
    if SERVING not in whole and PREVIOUS in whole:
        whole = {SERVING: replace(whole[PREVIOUS], rolled_back=False)}
    if whole and whole != releases:
        _forget_tags(connection)
        _commit(connection, whole)
    return whole


def rollback(uri: str | Path, writer_wait_s: float = 10.0) -> Release:
    """Serve the release before, and keep the current one as `previous`, so that a second rollback undoes the first.

    Returns the release that is served now. The one rolled back is marked: a build does not promote it again until its
    content changes.

    Raises:
        IndexNotReadyError: nothing is served, or there is no release before it, or that one is not what was published.
        BusyError: a build is running.
        IndexUnavailableError: the object store of the index does not answer.
    """
    connection = connect_existing(str(uri))
    with writer_lock(str(uri), writer_wait_s) as lock, reaching_store():
        served = serving_release(connection)
        previous = read_releases(connection).get(PREVIOUS)
        if previous is None:
            raise IndexNotReadyError(
                f"release {served.number} is the first one: nothing to roll back to", hint=BUILD_HINT
            )
        _refuse_changed(connection, previous, served.number)
        releases = {SERVING: replace(previous, rolled_back=False)}
        if not damaged(connection, served):
            releases[PREVIOUS] = replace(served, rolled_back=True)
        lock.check()
        _commit(connection, releases)
    return releases[SERVING]


def _refuse_changed(connection: lancedb.DBConnection, release: Release, served: int) -> None:
    if reason := damaged(connection, release):
        problem = f"is damaged: {reason}"
    elif missing_columns(connection, release):
        problem = "is from an older Aura and holds no pictures"
    elif release.digest and _digest(connection, release) != release.digest:
        problem = "is damaged: its rows are not those that were published"
    else:
        return
    raise IndexNotReadyError(
        f"release {release.number}, which would be served, {problem}",
        hint=f"release {served} stays; {BUILD_HINT} if that is not wanted",
    )


def missing_columns(connection: lancedb.DBConnection, release: Release) -> list[str]:
    """What a release of an older Aura lacks of the catalog, and readers need."""
    table = connection.open_table(CATALOG)
    table.checkout(release.catalog_version)
    return [] if PICTURE in table.schema.names else [PICTURE]


def unknown_columns(connection: lancedb.DBConnection) -> list[str]:
    """What the list of releases says that this code does not know: a newer Aura has written it."""
    if RELEASES not in connection.list_tables().tables:
        return []
    return sorted(set(connection.open_table(RELEASES).schema.names) - set(_SCHEMA.names))


def _digest(connection: lancedb.DBConnection, release: Release) -> str:
    """Hash of both tables' rows; empty when one cannot be read."""
    digests = []
    for table, version in _tables(connection, release):
        try:
            table.checkout(version)
            digests.append(content_digest(table, KEYS[table.name]))
        except LANCE_ERRORS as error:
            refuse_away(error)
            logger.warning(
                "release %d of the index has no digest, %s cannot be read: %s", release.number, table.name, error
            )
            return ""
    return hashlib.sha256("".join(digests).encode()).hexdigest()


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


def _tables(connection: lancedb.DBConnection, release: Release) -> list[tuple[Table, int]]:
    return [(connection.open_table(name), version) for name, version in release.versions.items()]


def _forget_tags(connection: lancedb.DBConnection) -> None:
    """Delete the tags, which may name versions that are gone; a commit sets them again."""
    for name in KEYS:
        table = connection.open_table(name)
        for tag in table.tags.list():
            table.tags.delete(tag)


def _set_tag(table: Table, tag: str, version: int) -> None:
    tags = table.tags.list()
    if tag not in tags:
        table.tags.create(tag, version)
    elif tags[tag]["version"] != version:
        table.tags.update(tag, version)


def _commit(connection: lancedb.DBConnection, releases: Mapping[str, Release]) -> None:
    for table, version in _tables(connection, releases[SERVING]):
        _set_tag(table, CANDIDATE, version)
    rows = pa.Table.from_pylist([_to_row(name, release) for name, release in releases.items()], schema=_SCHEMA)
    mode = (
        "overwrite" if RELEASES in connection.list_tables().tables else "create"
    )  # Lance warns of what it cannot find
    connection.create_table(RELEASES, rows, mode=mode).optimize()
    repair_tags(connection)


def _to_row(name: str, release: Release) -> dict[str, object]:
    return asdict(release) | {
        "name": name,
        "search": release.search.model_dump_json(),
        "metrics": json.dumps(release.metrics, sort_keys=True),
    }


def _from_row(row: dict[str, object]) -> Release:
    search = SearchSettings.model_validate(_FIRST_FUSION | json.loads(str(row["search"])))
    return Release(**(row | {"search": search, "metrics": json.loads(str(row["metrics"]))}))  # type: ignore[arg-type]
