"""Passwords as bcrypt hashes, computed beside the event loop: bcrypt releases the interpreter's lock.

An account that is not there costs the same time as one that is: its password is compared with a hash of nothing.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from aura.errors import BusyError, InvalidRequestError

MAX_BYTES = 72
"""What bcrypt reads of a password; more of it would count for nothing."""
MIN_CHARS = 8

T = TypeVar("T")


def checked(password: str) -> bytes:
    """A new password in the form that is hashed.

    Raises:
        InvalidRequestError: it is too short, or longer than bcrypt reads.
    """
    encoded = _encoded(password)
    if len(password) < MIN_CHARS:
        raise InvalidRequestError(
            f"the password has {len(password)} characters", hint=f"take at least {MIN_CHARS}; a sentence is good"
        )
    if len(encoded) > MAX_BYTES:
        raise InvalidRequestError(
            f"the password has {len(encoded)} bytes, and bcrypt reads {MAX_BYTES} of them",
            hint=f"take a shorter one: {MAX_BYTES} plain letters, fewer with accents, a quarter of it in emoji",
        )
    if b"\0" in encoded:
        raise InvalidRequestError("the password holds a NUL character", hint="take one that can be typed")
    return encoded


def _encoded(password: str) -> bytes:
    # NFKC, as NIST SP 800-63B says: keyboards write one letter in several ways.
    return unicodedata.normalize("NFKC", password).encode("utf-8", "surrogatepass")


class Passwords:
    """Hashes and compares, on as many threads as there are cores.

    Args:
        cost: binary logarithm of bcrypt's rounds.
        waiting: computations that run or wait; further ones are refused.
    """

    def __init__(self, cost: int, waiting: int) -> None:
        self._cost, self._waiting, self._admitted = cost, waiting, 0
        self._threads = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="passwords")
        self._nobodys_hash = bcrypt.hashpw(secrets.token_bytes(16), bcrypt.gensalt(cost))

    async def hashed(self, password: str) -> str:
        """Hash of a new password.

        Raises:
            InvalidRequestError: `checked` refuses it.
            BusyError: too many wait already.
        """
        encoded = checked(password)
        return (await self._beside(lambda: bcrypt.hashpw(encoded, bcrypt.gensalt(self._cost)))).decode()

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether a password is the one that was hashed; None, the hash of an account that is not there, takes as long.

        Raises:
            BusyError: too many wait already.
        """
        encoded = _encoded(password)
        usable = len(encoded) <= MAX_BYTES and b"\0" not in encoded
        expected = password_hash.encode() if password_hash else self._nobodys_hash
        same = await self._beside(lambda: bcrypt.checkpw(encoded if usable else b"", expected))
        return same and usable and password_hash is not None

    def is_outdated(self, password_hash: str) -> bool:
        """Whether a hash was made with another cost."""
        return int(password_hash.split("$")[2]) != self._cost

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _beside(self, work: Callable[[], T]) -> T:
        if self._admitted >= self._waiting:
            raise BusyError(f"{self._admitted} passwords wait already", hint="try again in a moment")
        self._admitted += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._admitted -= 1
