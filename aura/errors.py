"""Errors that a user of Aura can meet, each with a stable code and a hint.

The message says what was received and what is allowed; the hint says what to do next. The command line prints both, the
services turn them into one error body. A programmer's mistake is a `ValueError`, never one of these.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from typing import Any


class AuraError(Exception):
    """Base of every error that a user may see.

    Attributes:
        code: stable name of the class for programs.
        transient: whether a retry may succeed without a change by a person.
    """

    code = "internal"
    transient = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling between worker processes.
        return (_rebuild, (type(self), self.message, self.hint))

    def as_dict(self) -> dict[str, str]:
        """The error as plain values, for another process; `error_from_dict` restores its class."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


def _rebuild(kind: type[AuraError], message: str, hint: str) -> AuraError:
    return kind(message, hint=hint)


def error_from_dict(values: dict[str, Any]) -> AuraError:
    """The error that `as_dict` described; an unknown code becomes a plain `AuraError`."""
    kinds = {kind.code: kind for kind in reversed([*_kinds(AuraError)])}  # the class that defines a code wins
    return kinds.get(str(values.get("code")), AuraError)(str(values["message"]), hint=str(values.get("hint", "")))


def _kinds(kind: type[AuraError]) -> Iterator[type[AuraError]]:
    yield kind
    for derived in kind.__subclasses__():
        yield from _kinds(derived)


_NO_SPACE = re.compile(r"No space left on device|disk is full|Disk quota exceeded")
_NO_RIGHT = re.compile(r"Read-only file system|\(os error (13|30)\)")
"""What libraries in other languages (Lance, safetensors, SQLite) say, in errors without a number."""


def told_storage_error(error: Exception) -> StorageError | None:
    """What to tell of a file that cannot be written or read; None for an error of another kind."""
    number = getattr(error, "errno", None)
    path = getattr(error, "filename", None) or "a file"
    reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0][:300]
    if number in {errno.ENOSPC, errno.EDQUOT} or (number is None and _NO_SPACE.search(str(error))):
        return StorageError(f"no space is left for {path}: {reason}", hint="free some space on that disk and run again")
    if number in {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOTDIR} or (
        number is None and _NO_RIGHT.search(str(error))
    ):
        return StorageError(
            f"{path} cannot be used: {reason}",
            hint="give this account the right to read and write there, or set AURA_HOME to a folder where it has it",
        )
    return None


class SettingsError(AuraError):
    """A profile, an override or an environment variable is wrong. Lists every problem at once."""

    code = "invalid_settings"


class DataError(AuraError):
    """Raw or prepared data is missing, broken or against its schema."""

    code = "invalid_data"


class SnapshotStoreUnavailableError(DataError):
    """The store of data and model snapshots does not answer at the moment, or not in time."""

    code = "snapshot_store_unavailable"
    transient = True


class GitError(DataError):
    """Git is not installed, or did not do what it was asked to."""

    code = "git_failed"


class ForeignFolderError(AuraError):
    """An output would take the place of a folder that Aura did not make."""

    code = "foreign_folder"


class ArtifactError(AuraError):
    """A model directory is missing, incomplete or corrupt."""

    code = "invalid_artifact"


class HubUnavailableError(ArtifactError):
    """The hub that a base model comes from does not answer at the moment."""

    code = "hub_unavailable"
    transient = True


class WrongAnswerError(ArtifactError):
    """A model loads and answers, but not as it did when it was trained."""

    code = "wrong_answer"


class DamagedArtifactError(ArtifactError):
    """The files of a registered version are not those that were registered."""

    code = "damaged_artifact"


class RegistryError(AuraError):
    """The model registry has no such model, version or alias."""

    code = "not_in_registry"


class RegistryUnavailableError(RegistryError):
    """The model registry does not answer at the moment."""

    code = "registry_unavailable"
    transient = True


class PrefectUnavailableError(AuraError):
    """The Prefect server does not answer, or answers with an error of its own."""

    code = "prefect_unavailable"
    transient = True


class StorageError(AuraError):
    """A file or folder cannot be written: no right, no space, or no folder."""

    code = "storage"


class BackupError(AuraError):
    """A backup cannot be made or read, or is not what was written."""

    code = "backup"


class UpgradeError(AuraError):
    """A store cannot be brought to what this code wants as things are."""

    code = "upgrade"


class IndexNotReadyError(AuraError):
    """No judged index is being served yet."""

    code = "index_not_ready"


class IndexUnavailableError(AuraError):
    """The object store of the index does not answer, or refuses. Not an index that is missing or damaged: none is made anew."""

    code = "index_unavailable"
    transient = True


class BusyError(AuraError):
    """Another run holds the resource."""

    code = "busy"
    transient = True


class StageError(AuraError):
    """A pipeline stage ended with an error; the message carries the end of its output."""

    code = "stage_failed"


class StageInterruptedError(StageError):
    """A pipeline stage was killed, ran out of time or memory, or needed a server that is unavailable at the moment."""

    code = "stage_interrupted"
    transient = True


class DiskFullError(AuraError):
    """The disk has too little free space for what is to be done."""

    code = "disk_full"


class DeadlineError(AuraError):
    """The time limit of the night has passed."""

    code = "deadline"


class ServiceError(AuraError):
    """A service did not answer as it must."""

    code = "service_failed"


class ServiceUnavailableError(ServiceError):
    """A service is too busy to answer, or did not answer in time."""

    code = "service_unavailable"
    transient = True


class StartError(ServiceError):
    """A server did not start within its time limit; on a busy machine a retry may succeed."""

    code = "start_failed"
    transient = True


class DatabaseError(AuraError):
    """The database is not what it must be: its address is wrong, or its schema is not the one of this code."""

    code = "database"


class DatabaseUnavailableError(DatabaseError):
    """The database does not answer at the moment, or not in time."""

    code = "database_unavailable"
    transient = True


class UnauthenticatedError(AuraError):
    """A caller of a service has not said who they are, or not in a way that can be believed."""

    code = "unauthenticated"


class ForbiddenError(AuraError):
    """A caller of a service may not do what they ask for."""

    code = "forbidden"


class NotFoundError(AuraError):
    """What a caller of a service asks for is not there, or is somebody else's."""

    code = "not_found"


class InvalidRequestError(AuraError):
    """A caller of a service sent something that cannot be answered."""

    code = "invalid_request"
