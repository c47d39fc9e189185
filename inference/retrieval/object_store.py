"""The index in an object store: how Lance reaches it, what is told when it does not answer, a copy of it on this machine.

Keys, region and endpoint are those of AWS's own variables, which every client of S3 reads; none of them is a setting. Lance
commits a version by a conditional write (`If-None-Match`), which the store must know.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import lancedb
from pyarrow import fs

from aura.errors import IndexUnavailableError

ENDPOINT = "AWS_ENDPOINT_URL"
"""Environment variable with the address of a store that is not AWS's."""
_LIMITS = {
    "connect_timeout": "3s",
    "client_max_retries": "2",
    "client_retry_timeout": "10",
    "download_retry_count": "1",
}
"""Of one request. Lance's own are ten tries within three minutes, for which a question to a service would hang."""
_OF_STORE = re.compile(r"https?://|AWS credentials|CredentialsNotLoaded|no providers in chain")
"""In what Lance says of a store; of files on this machine it says none of these."""
_REASONS = (
    (re.compile("NoSuchBucket"), "has no such bucket"),
    (
        re.compile(
            "lacked the necessary privileges|lacked valid authentication|AccessDenied|InvalidAccessKeyId|SignatureDoesNotMatch"
            "|status 40[13]|credentials|no providers in chain",
            re.IGNORECASE,
        ),
        "does not let this account in",
    ),
    (re.compile('Generic S3 error|store: "S3"|error sending request'), "does not answer"),
)
"""The first that fits is told; none fits an object that is missing."""
_SHOWN_CHARS = 240


def is_remote(uri: str) -> bool:
    """Whether an address is that of an object store."""
    return "://" in uri


def connect_remote(uri: str) -> lancedb.DBConnection:
    """Connection to an index in an object store.

    Raises:
        IndexUnavailableError: the store does not answer, or refuses.
    """
    with reaching_store():
        return lancedb.connect(uri, storage_options=storage_options(os.environ))


def storage_options(environ: Mapping[str, str]) -> dict[str, str]:
    """What Lance is told beside what it reads from the environment itself."""
    plain = environ.get(ENDPOINT, "").startswith("http://")
    return _LIMITS | ({"allow_http": "true"} if plain else {})


def refuse_away(error: Exception) -> None:
    """Raise where Lance failed because of the store. Otherwise a table that cannot be read would be taken for a damaged one.

    Raises:
        IndexUnavailableError: the store does not answer, or refuses.
    """
    text = str(error)
    reason = next((reason for pattern, reason in _REASONS if pattern.search(text)), "")
    if not reason or not _OF_STORE.search(text):
        return
    raise IndexUnavailableError(
        f"the object store of the index {reason}: {_shown(error)}",
        hint=f"check that it runs and has the bucket of index.uri, {ENDPOINT}, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ) from error


@contextmanager
def reaching_store() -> Iterator[None]:
    """Turn what Lance raises inside because of the store into one error; others pass.

    Raises:
        IndexUnavailableError: the store does not answer, or refuses.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        refuse_away(error)
        raise


@contextmanager
def local_copy(uri: str, tables: tuple[str, ...]) -> Iterator[str]:
    """Folder with the tables of an index; of one in an object store a copy, which is gone at the end.

    Raises:
        IndexUnavailableError: the store does not answer, or refuses.
    """
    if not is_remote(uri):
        yield uri
        return
    path = uri.partition("://")[2]
    with tempfile.TemporaryDirectory(prefix="aura-index-") as folder:
        try:
            store = _file_system(path.partition("/")[0])
            for table in tables:
                if store.get_file_info(f"{path}/{table}.lance").type == fs.FileType.NotFound:
                    continue  # as in a folder: no build was ever published
                fs.copy_files(f"{path}/{table}.lance", str(Path(folder) / f"{table}.lance"), source_filesystem=store)
        except OSError as error:
            raise IndexUnavailableError(
                f"the index at {uri} cannot be copied: {_shown(error)}",
                hint=f"check that the store runs, {ENDPOINT} and its keys",
            ) from error
        yield folder


def _shown(error: Exception) -> str:
    return str(error).partition("\n")[0][:_SHOWN_CHARS]


def _file_system(bucket: str) -> fs.S3FileSystem:
    endpoint = os.environ.get(ENDPOINT) or None
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None and endpoint is None:
        region = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(endpoint_override=endpoint, region=region, connect_timeout=3)
