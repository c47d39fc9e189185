"""Keys that the accounts service publishes: fetched once for many, again for a new one, and good while it is away."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aura.errors import UnauthenticatedError
from bentos.accounts.access_tokens import AccessTokens
from bentos.accounts.signing_keys import SigningKeys
from bentos.serving.errors import OverloadedError
from bentos.serving.tokens import Caller, PublishedKeys, check_token

CALLER = Caller(user_id=uuid.uuid4(), session_id=uuid.uuid4(), role="admin")


class Publisher:
    """Answers with the public keys, as the accounts service does, until it is told to fail."""

    def __init__(self, tokens: AccessTokens) -> None:
        self.asked = 0
        self.status, self.body = 200, lambda: json.dumps({"keys": tokens.published()}).encode()
        publisher = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                publisher.asked += 1
                self.send_response(publisher.status)
                self.end_headers()
                self.wfile.write(publisher.body())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def tokens(tmp_path: Path) -> AccessTokens:
    return AccessTokens(SigningKeys(tmp_path), 600)


@pytest.fixture
def publisher(tokens: AccessTokens) -> Iterator[Publisher]:
    publisher = Publisher(tokens)
    yield publisher
    publisher.close()


class Clock:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_many_tokens_are_checked_with_one_question(publisher: Publisher, tokens: AccessTokens) -> None:
    async def run() -> list[Caller]:
        keys = PublishedKeys(publisher.url)
        return await asyncio.gather(*(check_token(tokens.signed(CALLER), keys) for _ in range(20)))

    assert asyncio.run(run()) == [CALLER] * 20
    assert publisher.asked == 1


def test_a_new_key_is_found_and_one_that_was_rotated_out_is_forgotten(
    publisher: Publisher, tokens: AccessTokens, tmp_path: Path
) -> None:
    async def run() -> None:
        clock = Clock()
        keys = PublishedKeys(publisher.url, now=clock)
        first = tokens.signed(CALLER)
        await check_token(first, keys)
        for _ in range(2):
            SigningKeys(tmp_path).rotate()
        clock.seconds += 2
        assert await check_token(tokens.signed(CALLER), keys) == CALLER
        with pytest.raises(UnauthenticatedError):
            await check_token(first, keys)

    asyncio.run(run())


def test_tokens_with_keys_that_nobody_knows_ask_once_a_second(publisher: Publisher, tmp_path: Path) -> None:
    stranger = AccessTokens(SigningKeys(tmp_path / "other"), 600)

    async def run() -> None:
        clock = Clock()
        keys = PublishedKeys(publisher.url, now=clock)
        for _ in range(3):
            for _ in range(10):
                with pytest.raises(UnauthenticatedError):
                    await check_token(stranger.signed(CALLER), keys)
            clock.seconds += 1.5

    asyncio.run(run())
    assert publisher.asked == 3


@pytest.mark.parametrize("how", ["gone", "broken", "nonsense"])
def test_known_keys_stay_good_while_the_accounts_service_is_away(
    publisher: Publisher, tokens: AccessTokens, tmp_path: Path, how: str
) -> None:
    async def run() -> None:
        clock = Clock()
        keys = PublishedKeys(publisher.url, now=clock)
        await check_token(tokens.signed(CALLER), keys)
        if how == "gone":
            publisher.close()
        elif how == "broken":
            publisher.status = 503
        else:
            publisher.body = lambda: b'{"keys": "none"}'
        clock.seconds += 3600
        assert await check_token(tokens.signed(CALLER), keys) == CALLER
        clock.seconds += 3600
        with pytest.raises(OverloadedError, match="accounts service does not answer"):
            await check_token(AccessTokens(SigningKeys(tmp_path / "other"), 600).signed(CALLER), keys)

    asyncio.run(run())
