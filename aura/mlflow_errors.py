"""What goes wrong with the MLflow store, as one sentence: which store, at which address, and what to do.

MLflow has one exception class for nearly everything, and its database, driver and HTTP client raise their own through it. The
cause decides the hint and whether another try may succeed.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from mlflow.exceptions import MlflowException
from requests import RequestException
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from aura.errors import RegistryError, RegistryUnavailableError
from aura.proxies import direct

_ANSWER_SECONDS = 10.0
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_SEE_SERVER = "check that the server runs and that tracking.uri is right"
_TRANSIENT_CODES = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED"}
"""What MLflow's client says of a server that is restarted or overloaded, and of a locked database, after its own retries."""
_OBJECT_STORE = {"boto3", "botocore", "s3transfer"}
"""Libraries whose errors are told, of which an installation without an object store has none."""
_STORAGE_FAULTS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}


@dataclass(frozen=True)
class _Cause:
    """`pattern` is looked for in what was raised; its group goes into the texts as `{0}`, the address as `{uri}`."""

    pattern: str
    sentence: str
    hint: str


_CAUSES = (
    _Cause(
        "out-of-date database schema",
        "its tables are of another version of MLflow than the one installed",
        "`aura upgrade run --backup` brings them up to date; tables of a newer MLflow need that version",
    ),
    _Cause(
        "file is not a database|image is malformed|no such table|no such column",
        "its database is damaged",
        "bring it back from a backup, or move the file aside: the next night then begins a new one, without the versions "
        "and runs of the old one",
    ),
    _Cause(
        "database or disk is full|No space left|quota exceeded",
        "its disk is full",
        "free some space and run again",
    ),
    _Cause(
        "readonly database|unable to open database|Permission denied|Read-only file system|Operation not permitted",
        "this account cannot open or write it",
        "give this account the right to write there, or choose another place: AURA_HOME, or tracking.uri",
    ),
    _Cause(
        r"No module named '(\w+)'|Can't load plugin: sqlalchemy.dialects:(\w+)",
        "the driver of its address, {0}, is not installed",
        "pip install {0} (for postgresql:// the package is psycopg2-binary), or set another tracking.uri",
    ),
    _Cause(
        "unsupported URI|filesystem tracking backend|Could not parse SQLAlchemy URL",
        "MLflow has no store at such an address",
        "set tracking.uri to http(s)://HOST:PORT, sqlite:///FILE or postgresql://..., or to nothing: SQLite in the home folder",
    ),
    _Cause(
        r"experiment (\d+) must be in the 'active' state",
        "the experiment {0}, to which the runs belong, has been deleted",
        "bring it back: MLFLOW_TRACKING_URI={uri} mlflow experiments restore --experiment-id {0}; or set another "
        "tracking.namespace",
    ),
    _Cause(
        "Invalid Host header",
        "it refuses the name that this address calls it by",
        "start it with MLFLOW_SERVER_ALLOWED_HOSTS=NAME:*,localhost:*",
    ),
    _Cause(
        r"error code 40[13]\b|status code 40[13]\b|PERMISSION_DENIED|UNAUTHENTICATED",
        "it does not let this account in",
        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN",
    ),
    _Cause(
        r"password authentication failed|no password supplied|no pg_hba.conf entry|(?:role|database) .* does not exist",
        "its database does not let this account in",
        "set PGPASSWORD, and check user and database in tracking.uri",
    ),
    _Cause(
        "CERTIFICATE_VERIFY_FAILED|TLS CA certificate",
        "its certificate is not trusted here",
        "set REQUESTS_CA_BUNDLE to the file with the certificate of who signed it",
    ),
)
"""The first that fits is told. None of them passes by itself."""


@contextmanager
def told(uri: str) -> Iterator[None]:
    """Turn what MLflow, its database and its HTTP client raise into one error; other errors pass.

    Args:
        uri: the address that the error names.

    Raises:
        RegistryUnavailableError: another try may succeed.
        RegistryError: a person has to do something first.
    """
    try:
        yield
    except (MlflowException, SQLAlchemyError, RequestException) as error:
        raise _error(error, uri) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _OBJECT_STORE:
            raise
        raise _object_store_error(error, uri) from error


@contextmanager
def opening(uri: str) -> Iterator[None]:
    """As `told`, and what is raised where a store is opened: a missing driver, a folder or disk that takes nothing."""
    try:
        with told(uri):
            yield
    except ImportError as error:
        raise _error(error, uri) from error
    except OSError as error:
        if error.errno not in _STORAGE_FAULTS and "TLS CA certificate" not in str(error):
            raise
        raise _error(error, uri) from error


@contextmanager
def reachable(uri: str) -> Iterator[None]:
    """As `opening`, for a store that must answer at once: without it MLflow tries every call for minutes, in silence."""
    _require_answer(uri)
    with opening(uri):
        require_database(uri)
        yield


def require_database(uri: str) -> None:
    """Refuse a database that cannot be opened; MLflow would try for 100 seconds. An address of another kind passes.

    Raises:
        PermissionError: neither an SQLite file nor its folder can be written.
        RegistryUnavailableError: nothing answers where another database should be.
        SQLAlchemyError: it answers, and refuses the connection.
        ImportError: its driver is not installed.
    """
    try:
        address = make_url(uri)
    except ArgumentError:  # a bare path; MLflow says what it takes
        return
    if address.get_backend_name() in _DATABASE_PORTS:
        _require_connection(address)
    if address.get_backend_name() != "sqlite" or not address.database or address.database == ":memory:":
        return
    file = Path(address.database)
    place = file if file.exists() else next(parent for parent in file.absolute().parents if parent.exists())
    folder = place if place.is_dir() else place.parent  # SQLite keeps its journal beside the file
    if not all(
        os.access(path, os.W_OK, effective_ids=os.access in os.supports_effective_ids) for path in (place, folder)
    ):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))


def _require_connection(address: URL) -> None:
    engine = create_engine(address, poolclass=NullPool)
    port = address.port or _DATABASE_PORTS[address.get_backend_name()]
    try:
        if address.host:  # otherwise a Unix socket; drivers have limits of two minutes, each with an option of its own
            socket.create_connection((address.host, port), timeout=_ANSWER_SECONDS).close()
    except OSError as error:
        shown = address.render_as_string(hide_password=True)
        raise RegistryUnavailableError(
            f"the database of the MLflow store at {shown} does not answer at {address.host}:{port}: {error}",
            hint="check that it runs and that tracking.uri is right",
        ) from error
    engine.connect().close()


def _require_answer(uri: str) -> None:
    if not uri.startswith(("http://", "https://")):
        return
    # MLflow's client retries each call for four minutes, and a night makes a dozen calls before it can report.
    # This request only asks whether a server answers: certificate and status are checked by MLflow's client.
    try:
        httpx.head(uri, timeout=_ANSWER_SECONDS, verify=False, **direct(uri))
    except (httpx.InvalidURL, ValueError) as error:
        raise RegistryError(f"{uri} is no address of an MLflow server: {error}", hint=_SEE_SERVER) from error
    except (httpx.ConnectError, httpx.TimeoutException) as error:
        raise RegistryUnavailableError(f"no MLflow server answers at {uri}: {error}", hint=_SEE_SERVER) from error
    except httpx.TransportError:
        pass  # a server is there, and refuses this request


def _object_store_error(error: Exception, uri: str) -> RegistryError:
    refused = type(error).__name__ in {"ClientError", "NoCredentialsError", "S3UploadFailedError"}
    return (RegistryError if refused else RegistryUnavailableError)(
        f"the object store with the files of the MLflow store at {uri} {'refuses' if refused else 'does not answer'}: {error}",
        hint="check that it runs and has the bucket, AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )


def _error(error: Exception, uri: str) -> RegistryError:
    text = str(error)
    line = text.strip().split("\n")[0][:300] if text.strip() else type(error).__name__
    for cause in _CAUSES:
        if found := re.search(cause.pattern, text):
            named = next(filter(None, found.groups()), "")
            return RegistryError(
                f"the MLflow store at {uri} cannot be used: {cause.sentence.format(named)} ({line})",
                hint=cause.hint.format(named, uri=uri),
            )
    if isinstance(error, MlflowException):
        kind = RegistryUnavailableError if error.error_code in _TRANSIENT_CODES else RegistryError
        gone = error.error_code == "RESOURCE_DOES_NOT_EXIST"
        hint = (
            "look at its page (`aura ui`): a run, a version or an experiment has been deleted there"
            if gone
            else _SEE_SERVER
        )
        return kind(f"the MLflow registry at {uri} answered: {line}", hint=hint)
    if isinstance(error, ImportError):
        return RegistryError(f"the MLflow store at {uri} cannot be used: {line}", hint="run `make setup` again")
    return RegistryUnavailableError(f"the MLflow store at {uri} failed: {line}", hint=_SEE_SERVER)
