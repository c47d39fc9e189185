"""Access tokens as every service checks them, alone: JSON Web Tokens (RFC 7519) of the accounts service.

The algorithm is the checker's, never the token's. Signed with Ed25519 (EdDSA, RFC 8037) they are checked with the public keys
that the accounts service publishes (RFC 7517); with `JWT_SECRET_KEY`, on one machine, they are signed and checked with that
secret (HS256).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, cast, get_args
from uuid import UUID

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aura.errors import UnauthenticatedError
from aura.proxies import direct
from aura.roles import Role
from bentos.serving.errors import OverloadedError
from bentos.serving.request_log import logger

ISSUER = AUDIENCE = "aura"
TOKEN_TYPE = "at+jwt"
"""Of an access token (RFC 9068), so that no other token signed with the same key is taken for one."""
PAGE_TOKEN_TYPE = "aura-page+jwt"
"""Of the token in a browser's cookie, which opens operators' pages and no service."""
_REQUIRED = ("iss", "aud", "exp", "iat", "sub", "sid", "role")
_MAX_TOKEN_CHARS = 4096
_CLOCK_SECONDS = 5
"""By which clocks may differ."""
_FRESH_SECONDS = 60.0
"""A key that is no longer published is taken for so long."""
_AGAIN_SECONDS = 1.0
"""Between two questions for keys: a flood of tokens with unknown keys asks once."""
_SIGN_IN = "sign in: POST /api/v1/accounts/token, and send the access token as `Authorization: Bearer ...`"


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Whom a token speaks for."""

    user_id: UUID
    session_id: UUID
    role: Role


class Keys(Protocol):
    """Keys that tokens are checked with."""

    algorithm: str

    async def key(self, key_id: str) -> Any:
        """The key of this id.

        Raises:
            UnauthenticatedError: there is none.
            OverloadedError: whether there is one cannot be found out at the moment.
        """
        ...


class SharedSecret:
    """The one secret of one machine."""

    algorithm = "HS256"

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def key(self, key_id: str) -> str:
        return self._secret


class PublishedKeys:
    """The public keys at a URL, asked for again every minute, and when a token names an unknown one.

    Where the accounts service is away, the keys that are known stay good.
    """

    algorithm = "EdDSA"

    def __init__(self, url: str, timeout_seconds: float = 2.0, now: Callable[[], float] = time.monotonic) -> None:
        self._url, self._timeout_seconds, self._now = url, timeout_seconds, now
        self._keys: Mapping[str, Any] = {}
        self._asked_at = float("-inf")
        self._answered = False
        self._asking = asyncio.Lock()

    async def key(self, key_id: str) -> Any:
        await self._refresh(key_id)
        if key_id in self._keys:
            return self._keys[key_id]
        if self._answered:
            raise _invalid()
        raise OverloadedError("the accounts service does not answer, so no token can be checked")

    async def _refresh(self, key_id: str) -> None:
        async with self._asking:
            age = self._now() - self._asked_at
            if age < (_FRESH_SECONDS if key_id in self._keys else _AGAIN_SECONDS):
                return
            self._asked_at = self._now()
            try:
                async with httpx.AsyncClient(timeout=self._timeout_seconds, **direct(self._url)) as client:
                    answer = await client.get(self._url)
                answer.raise_for_status()
                self._keys = _public_keys(answer.json())
                self._answered = True
            except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
                self._answered = False
                logger.warning("no keys from %s: %r", self._url, error)


def _public_keys(published: Any) -> dict[str, Any]:
    """Keys by id.

    Raises:
        ValueError: what was published is no set of keys.
    """
    if not isinstance(published, dict) or not isinstance(published.get("keys"), list):
        raise ValueError("no set of keys")
    return {
        key.key_id: key.key
        for key in jwt.PyJWKSet.from_dict(published).keys
        if key.key_id and key.algorithm_name == "EdDSA"
    }


def is_access_token(token: str, kind: str = TOKEN_TYPE) -> bool:
    """Whether a text says that it is an access token of ours (or a token of another kind), be it good or not."""
    try:
        return len(token) <= _MAX_TOKEN_CHARS and jwt.get_unverified_header(token).get("typ") == kind
    except (jwt.PyJWTError, ValueError, TypeError):
        return False


async def check_token(token: str, keys: Keys, kind: str = TOKEN_TYPE) -> Caller:
    """Whom an access token, or a token of another kind, speaks for.

    Raises:
        UnauthenticatedError: it has expired, is no token of ours, or its key is none of ours.
        OverloadedError: its key cannot be found out at the moment.
    """
    if not is_access_token(token, kind):
        raise _invalid()
    try:
        header = jwt.get_unverified_header(token)
        claims = jwt.decode(
            token, await keys.key(str(header.get("kid", ""))), algorithms=[keys.algorithm], audience=AUDIENCE, issuer=ISSUER,
            leeway=_CLOCK_SECONDS, options={"require": [*_REQUIRED]},
        )  # fmt: skip
        if claims["role"] not in get_args(Role):
            raise _invalid()
        return Caller(user_id=UUID(claims["sub"]), session_id=UUID(claims["sid"]), role=cast(Role, claims["role"]))
    except jwt.ExpiredSignatureError:
        raise UnauthenticatedError(
            "the access token has expired", hint="get the next one: POST /api/v1/accounts/refresh"
        ) from None
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        raise _invalid() from None


def _invalid() -> UnauthenticatedError:
    return UnauthenticatedError("the access token is not valid", hint=_SIGN_IN)


def missing() -> UnauthenticatedError:
    """The error of a request without a token."""
    return UnauthenticatedError("this request needs an access token", hint=_SIGN_IN)


def public_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """The key as it is published."""
    x = _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": key_id(key), "alg": "EdDSA", "use": "sig"}


def key_id(key: Ed25519PublicKey) -> str:
    """The key's thumbprint (RFC 7638)."""
    x = _base64url(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    members = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":"))
    return _base64url(hashlib.sha256(members.encode()).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
