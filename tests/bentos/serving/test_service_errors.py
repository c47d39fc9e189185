"""One error body and one table of statuses for everything that can go wrong in a service or its runner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import aiohttp
import pytest
from bentoml.exceptions import BentoMLException, InternalServerError, ServiceUnavailable
from fastapi.testclient import TestClient
from pydantic import BaseModel

import aura.errors
from aura.errors import AuraError, BusyError, DataError, IndexNotReadyError, InvalidRequestError, RegistryError
from aura.tracking import TrackingSettings
from bentos.serving.app import make_app
from bentos.serving.assets import RegistryAssets
from bentos.serving.errors import (
    FOR_CALLERS,
    STATUS,
    Failure,
    NotReadyError,
    OverloadedError,
    answer_or_failure,
    error_detail,
    error_status,
    raise_failure,
)
from bentos.serving.messages import RunnerRequest
from bentos.serving.settings import ServingSettings
from tests.bentos.stub_assets import RELEASE


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
        "remote": InternalServerError("secret detail of the runner"),
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


@pytest.mark.parametrize(
    "error",
    [InvalidRequestError("too long", hint="shorten it"), IndexNotReadyError("none yet"), DataError("broken"),
     BusyError("full", hint="later"), RegistryError("no champion"), OverloadedError(), AuraError("failed"),
     NotReadyError("it is being loaded")],
)  # fmt: skip
def test_an_error_keeps_class_code_message_and_hint_across_the_door(error: AuraError) -> None:
    def fails(_: RunnerRequest) -> int:
        raise error

    answer = answer_or_failure(RunnerRequest(request_id="abc-1"), fails)
    assert isinstance(answer, Failure)
    with pytest.raises(type(error)) as caught:
        raise_failure(Failure.model_validate(answer.model_dump()))
    arrived = caught.value
    assert (arrived.code, arrived.message, arrived.hint) == (error.code, error.message, error.hint)
    assert type(arrived) is type(error)
    assert error_status(arrived) == error_status(error)


def test_a_subclass_of_the_runner_alone_arrives_with_the_status_of_its_class() -> None:
    class TornImageError(DataError):
        """Inherits its code."""

    with pytest.raises(DataError) as caught:
        raise_failure(Failure.of(TornImageError("torn")))
    assert type(caught.value) is DataError
    with pytest.raises(AuraError) as unknown:
        raise_failure(Failure(code="from_a_newer_runner", message="?", hint=""))
    assert (unknown.value.code, error_status(unknown.value)) == ("from_a_newer_runner", 500)


def test_a_bug_in_the_runner_tells_nothing_and_is_logged_with_the_request(
    caplog: pytest.LogCaptureFixture, logged: Callable[[], list[tuple[str | None, str]]]
) -> None:
    def fails(_: RunnerRequest) -> int:
        raise RuntimeError("secret detail")

    answer = answer_or_failure(RunnerRequest(request_id="abc-1"), fails)
    assert isinstance(answer, Failure)
    assert (answer.code, "secret" in answer.message + answer.hint) == ("internal", False)
    assert ("abc-1", "failed in the runner") in logged()
    assert "secret detail" in caplog.text


def test_an_answer_without_an_error_passes() -> None:
    assert raise_failure({"passages": []}) == {"passages": []}


@pytest.mark.parametrize("table", [STATUS, FOR_CALLERS])
def test_every_row_of_the_table_is_reached(table: dict[type[Exception], object]) -> None:
    """A row below another one of its own family would never be found."""
    for kind in table:
        assert kind is Exception or next(base for base in kind.__mro__ if base in table) is kind


_OF_THE_OPERATOR = [
    kind
    for kind in vars(aura.errors).values()
    if isinstance(kind, type) and issubclass(kind, AuraError) and FOR_CALLERS.get(kind, "the operator") is not None
]


@pytest.mark.parametrize("kind", _OF_THE_OPERATOR)
def test_what_an_error_tells_the_operator_stands_in_the_log_alone(
    kind: type[AuraError], caplog: pytest.LogCaptureFixture
) -> None:
    error = kind("cannot open /srv/aura/var/secret.db", hint="run `aura nightly --profile secret`")
    app = make_app("test", "test")

    @app.get("/fail")
    async def fail() -> None:
        raise error

    response = TestClient(app, raise_server_exceptions=False).get("/fail")
    body = response.json()["error"]
    assert (response.status_code, body["code"]) == (error_status(error), kind.code)
    assert body["message"]
    assert body["hint"]
    assert "secret" not in response.text
    assert "/srv/aura/var/secret.db" in caplog.text


@pytest.mark.parametrize("asked", ["champion", "copy", "index"])
def test_what_a_checkout_lacks_is_told_without_its_paths(asked: str, own_home: Path) -> None:
    assets = RegistryAssets("sample", ServingSettings(), TrackingSettings())
    ask: dict[str, Callable[[], object]] = {
        "champion": lambda: assets.champion("outfits", replace(RELEASE, models={})).__enter__(),
        "copy": lambda: assets.champion("outfits", RELEASE).__enter__(),
        "index": lambda: assets.index(RELEASE),
    }
    with pytest.raises(AuraError) as caught:
        ask[asked]()
    told = error_detail(caught.value)
    assert str(own_home) not in told.message + told.hint
    assert told.code == caught.value.code
