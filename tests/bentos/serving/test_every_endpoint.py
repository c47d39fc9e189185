"""Every endpoint of every service asks who calls, but for those that cannot."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from importlib import import_module

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

from bentos.accounts.access_tokens import AccessTokens
from bentos.serving.auth import AuthRules
from flows.services import SERVICES

OPEN = {"/health"}
OPEN_OF_ACCOUNTS = {"/register", "/token", "/refresh", "/jwks"}
TOKENS = AccessTokens("0123456789abcdef0123456789abcdef", 600)


def app_of(service: str) -> FastAPI:
    app: FastAPI = import_module(SERVICES[service].target.split(":")[0]).app
    return app


def endpoints(app: FastAPI) -> Iterator[tuple[str, str]]:
    """Method and path of each endpoint that the document knows, with made-up ids."""
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            filled = re.sub(r"{feedback_id}", "1", path)
            yield method.upper(), re.sub(r"{\w+}", str(uuid.uuid4()), filled)


@pytest.fixture
def asking(service: str) -> Iterator[FastAPI]:
    app = app_of(service)
    before = app.state.auth
    app.state.auth = AuthRules(required=True, keys=TOKENS)
    yield app
    app.state.auth = before


@pytest.mark.parametrize("service", SERVICES)
def test_nobody_is_answered_without_a_token(asking: FastAPI, service: str) -> None:
    free = OPEN | (OPEN_OF_ACCOUNTS if service == "accounts" else set())
    client = TestClient(asking, raise_server_exceptions=False)
    asked = [(method, path) for method, path in endpoints(asking) if path not in free]
    assert len(asked) >= 1
    for method, path in asked:
        for headers in ({}, {"authorization": "Bearer x.y.z"}):
            answer = client.request(method, path, headers=headers, json={})
            assert answer.status_code == 401, (method, path)
            assert answer.json()["error"]["code"] == "unauthenticated"
        document = asking.openapi()
        assert all(
            "security" in operation
            for name, operations in document["paths"].items()
            for operation in operations.values()
            if name not in free
        )


@pytest.mark.parametrize("service", ["conversational_ai"])
def test_no_conversation_is_opened_without_a_token(asking: FastAPI) -> None:
    with pytest.raises(WebSocketDenialResponse) as refused, TestClient(asking).websocket_connect("/ws/chat"):
        pass
    assert refused.value.status_code == 401
