"""Errors that a user of Aura can meet, each with a stable code and a hint.

The message says what was received and what is allowed; the hint says what to do next. The command line prints both, the
services turn them into one error body. A programmer's mistake is a `ValueError`, never one of these.
"""

from __future__ import annotations


class AuraError(Exception):
    """Base of every error that is meant for a user's eyes."""

    code = "internal"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nHint: {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling between worker processes.
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[AuraError], message: str, hint: str) -> AuraError:
    return kind(message, hint=hint)


class SettingsError(AuraError):
    """A profile, an override or an environment variable is wrong. Lists every problem at once."""

    code = "invalid_settings"


class DataError(AuraError):
    """Raw or prepared data is missing, broken or against its schema."""

    code = "invalid_data"


class ArtifactError(AuraError):
    """A model directory is missing, incomplete or corrupt."""

    code = "invalid_artifact"


class RegistryError(AuraError):
    """The model registry has no such model, version or alias."""

    code = "not_in_registry"


class IndexNotReadyError(AuraError):
    """No judged index is being served yet."""

    code = "index_not_ready"


class BusyError(AuraError):
    """Another run holds the resource."""

    code = "busy"


class StageError(AuraError):
    """A pipeline stage ended with an error; the message carries the end of its output."""

    code = "stage_failed"


class ServiceError(AuraError):
    """A service did not start or did not answer as it must."""

    code = "service_failed"


class InvalidRequestError(AuraError):
    """A caller of a service sent something that cannot be answered."""

    code = "invalid_request"
