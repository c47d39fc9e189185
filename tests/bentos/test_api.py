"""One error body for everything that can go wrong in a service."""

from __future__ import annotations

from http import HTTPStatus

import aiohttp
import pytest
from bentoml.exceptions import BentoMLException, InternalServerError, ServiceUnavailable
from fastapi.testclient import TestClient
from pydantic import BaseModel

from aura.errors import IndexNotReadyError, InvalidRequestError
from bentos.serving.api import make_app


class Body(BaseModel):
    count: int


@pytest.fixture
def client() -> TestClient:
    app = make_app("test", "test")
    failures = {
        "bad": InvalidRequestError("that is no photo", hint="send a JPEG"),
        "index": IndexNotReadyError("no index", hint="aura index build"),
        "full": ServiceUnavailable("queue is full"),
        "slow": BentoMLException(
            "Not able to process the request in 60 seconds", error_code=HTTPStatus.GATEWAY_TIMEOUT
        ),
        "silent": TimeoutError(),
        "killed": aiohttp.ServerDisconnectedError(),
        "halfway": aiohttp.ClientPayloadError("secret detail: response payload is not completed"),
        "remote": InternalServerError("secret detail of the model part"),
        "bug": RuntimeError("secret detail"),
    }

    @app.get("/fail/{name}")
    async def fail(name: str) -> None:
        raise failures[name]

    @app.post("/count")
    async def count(body: Body) -> int:
        return body.count

    return TestClient(app, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [("bad", 400, "invalid_request"), ("index", 503, "index_not_ready"), ("full", 503, "overloaded"),
     ("slow", 503, "overloaded"), ("silent", 503, "overloaded"), ("killed", 503, "overloaded"),
     ("halfway", 503, "overloaded"), ("remote", 500, "internal"), ("bug", 500, "internal")],
)  # fmt: skip
def test_every_failure_has_the_body_a_hint_and_the_request_id(
    client: TestClient, name: str, status: int, code: str
) -> None:
    response = client.get(f"/fail/{name}", headers={"x-request-id": "abc-1"})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["request_id"]) == (status, code, "abc-1")
    assert error["hint"]
    assert "secret" not in response.text
    assert response.headers["x-request-id"] == "abc-1"
    assert ("retry-after" in response.headers) == (status == 503)


def test_a_request_without_a_usable_id_gets_one(client: TestClient) -> None:
    for given in ("", "a b", "x" * 65):
        response = client.get("/fail/bad", headers={"x-request-id": given})
        assert len(response.json()["error"]["request_id"]) == 32


def test_fastapis_own_errors_have_the_body_too(client: TestClient) -> None:
    wrong = client.post("/count", json={"count": "many"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "invalid_request")
    assert "body.count" in wrong.json()["error"]["message"]
    assert client.get("/none").json()["error"]["code"] == "not_found"
    assert client.get("/count").json()["error"]["code"] == "method_not_allowed"
