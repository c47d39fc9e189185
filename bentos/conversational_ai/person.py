"""Who asks, where they have signed in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self
from uuid import UUID

from starlette.requests import HTTPConnection

from bentos.serving.auth import caller_if_any, token_of


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person whose token has been checked.

    Attributes:
        token: for calls of other services in their name.
    """

    id: UUID
    token: str = field(repr=False)

    @classmethod
    def of(cls, connection: HTTPConnection) -> Self | None:
        """The person of a request or of a WebSocket; None where no token came with it."""
        caller, token = caller_if_any(connection), token_of(connection)
        return cls(id=caller.user_id, token=token) if caller and token else None
