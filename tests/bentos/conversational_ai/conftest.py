"""The conversational service with a stand-in for its runner."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from _bentoml_sdk.service import set_current_service
from fastapi.testclient import TestClient

from bentos.conversational_ai.service import app
from tests.bentos.conversational_ai.stub_runner import Runner, service_with


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def service(runner: Runner) -> Any:
    return service_with(runner)


@pytest.fixture
def client(service: Any) -> Iterator[TestClient]:
    set_current_service(service)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
    set_current_service(None)
