"""Access tokens as the accounts service makes them; `bentos/serving/tokens.py` checks them."""

from __future__ import annotations

import time
import uuid
from typing import Any

import jwt

from bentos.accounts.signing_keys import SigningKeys
from bentos.serving.tokens import AUDIENCE, ISSUER, TOKEN_TYPE, Caller, SharedSecret, public_jwk


class AccessTokens:
    """Signs tokens and gives the keys to check them: those of a folder, or one secret.

    Args:
        keys: where tokens are signed with.
        seconds: seconds that a token is good for.
    """

    def __init__(self, keys: SigningKeys | str, seconds: float) -> None:
        self._keys, self.seconds = keys, round(seconds)
        self.algorithm = SharedSecret.algorithm if isinstance(keys, str) else "EdDSA"

    def signed(self, caller: Caller, kind: str = TOKEN_TYPE, seconds: float | None = None) -> str:
        """A new token that speaks for a caller: an access token, or one of another kind and lifetime."""
        now = int(time.time())
        claims = {
            "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + round(seconds or self.seconds), "jti": uuid.uuid4().hex,
            "sub": str(caller.user_id), "sid": str(caller.session_id), "role": caller.role,
        }  # fmt: skip
        headers = {"typ": kind}
        if isinstance(self._keys, str):
            return jwt.encode(claims, self._keys, self.algorithm, headers)
        key_id, key = self._keys.newest
        return jwt.encode(claims, key, self.algorithm, headers | {"kid": key_id})

    async def key(self, key_id: str) -> Any:
        """As `bentos.serving.tokens.Keys`."""
        if isinstance(self._keys, str):
            return self._keys
        key = self._keys.live.get(key_id)
        if key is None:
            raise jwt.InvalidKeyError("no such key")
        return key.public_key()

    def published(self) -> list[dict[str, str]]:
        """The public keys as JSON Web Keys, oldest first; a shared secret is not published."""
        if isinstance(self._keys, str):
            return []
        return [public_jwk(key.public_key()) for key in self._keys.live.values()]
