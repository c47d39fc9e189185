"""What callers send to the accounts service, and what they get."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self
from uuid import UUID

from pydantic import BaseModel, Field, SecretStr, StrictBool

from aura.roles import Role
from bentos.serving.request_body import RequestBody, Text
from stores.sessions import EndReason, Session


class Registration(RequestBody):
    """A new account."""

    email: Text = Field(max_length=254, json_schema_extra={"format": "email"})
    password: SecretStr = Field(description="8 characters or more, 72 bytes at most", max_length=4096)


class Registered(BaseModel):
    """What is said whether or not the address had an account: who asks learns nothing of others."""

    email: str = Field(description="the address in the spelling that the account has")


class TokenPair(BaseModel):
    """What a sign-in or a refresh gives (RFC 6749, section 5.1)."""

    access_token: str = Field(description="JSON Web Token for `Authorization: Bearer`")
    refresh_token: str = Field(description="gives the next pair, once: used a second time, it ends the session")
    token_type: Literal["bearer"] = "bearer"
    expires_in: int = Field(description="seconds that the access token is good for")


class RefreshRequest(RequestBody):
    """Exchange of a refresh token."""

    refresh_token: SecretStr = Field(max_length=256)


class SignOut(RequestBody):
    """End of this session, or of all."""

    everywhere: StrictBool = False


class PasswordChange(RequestBody):
    """A new password for the old one; all other sessions end."""

    current_password: SecretStr = Field(max_length=4096)
    new_password: SecretStr = Field(description="8 characters or more, 72 bytes at most", max_length=4096)


class Deletion(RequestBody):
    """The account goes, with all that is its owner's."""

    password: SecretStr = Field(description="so that a stolen token deletes nothing", max_length=4096)


class Remaining(BaseModel):
    """A copy that nobody can change."""

    what: str
    until: datetime = Field(description="when it is gone at the latest")


class Deleted(BaseModel):
    """What is gone, and what is not yet."""

    removed: list[str]
    remains: list[Remaining]


class Consent(RequestBody):
    """What the account allows."""

    may_learn: StrictBool = Field(
        description="whether its feedback may be learnt from, by nights and for its own recommendations"
    )


class Account(BaseModel):
    """Somebody with an account."""

    id: UUID
    email: str
    role: Role
    created_at: datetime
    may_learn: bool


class SessionRecord(BaseModel):
    """A session in an export."""

    id: UUID
    network: str
    began_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    end_reason: EndReason | None

    @classmethod
    def of(cls, session: Session) -> Self:
        return cls(
            id=session.id, network=str(session.network), began_at=session.began_at, expires_at=session.expires_at,
            ended_at=session.ended_at, end_reason=session.end_reason,
        )  # fmt: skip


class AccountPageQuery(RequestBody):
    """Which accounts, in the order of their addresses."""

    after: str = Field(default="", max_length=254, description="`after` of the page before")
    limit: int = Field(default=100, ge=1, le=1000)


class AccountPage(BaseModel):
    """Accounts in the order of their addresses."""

    accounts: list[Account]
    after: str | None = Field(description="give it back for the next page; null at the end")


class KeySet(BaseModel):
    """Public keys of access tokens (RFC 7517)."""

    keys: list[dict[str, str]]


class AccountsHealth(BaseModel):
    """The service can answer."""

    state: Literal["ready", "degraded"]
    reasons: list[str]
    profile: str
    schema_revision: str = Field(description="revision of the database's schema")
