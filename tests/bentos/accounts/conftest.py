"""The accounts service on a real database, called in this process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from _bentoml_sdk.service import set_current_service
from fastapi.testclient import TestClient
from httpx import Response

from bentos.accounts.service import AccountsService, app
from bentos.accounts.settings import AccountsSettings
from bentos.serving.settings import ServingSettings
from tests.bentos.stub_assets import StubAssets

EMAIL, PASSWORD = "ada@example.org", "correct horse battery staple"
QUICK = AccountsSettings(bcrypt_cost=4, attempts_per_address="1000/minute", attempts_per_name="1000/minute")


@dataclass(frozen=True)
class Tokens:
    """What a sign-in gave."""

    access: str
    refresh: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.access}"}


class Api:
    """Calls of the service."""

    def __init__(self, client: TestClient) -> None:
        self.client = client

    def register(self, email: str = EMAIL, password: str = PASSWORD) -> Response:
        return self.client.post("/register", json={"email": email, "password": password})

    def token(self, email: str = EMAIL, password: str = PASSWORD) -> Response:
        return self.client.post("/token", data={"username": email, "password": password})

    def refresh(self, refresh_token: str) -> Response:
        return self.client.post("/refresh", json={"refresh_token": refresh_token})

    def sign_in(self, email: str = EMAIL, password: str = PASSWORD) -> Tokens:
        return tokens_of(self.token(email, password))

    def me(self, tokens: Tokens) -> Response:
        return self.client.get("/me", headers=tokens.headers)


def tokens_of(answer: Response) -> Tokens:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["token_type"], body["expires_in"] > 0) == ("bearer", True)
    return Tokens(body["access_token"], body["refresh_token"])


def serving(url: str, settings: AccountsSettings = QUICK, **options: Any) -> Iterator[Api]:
    service = AccountsService.inner(StubAssets(serving=ServingSettings(accounts=settings)), url)
    set_current_service(service)
    with TestClient(app, raise_server_exceptions=False, **options) as client:
        assert client.portal is not None
        client.portal.call(service.begin)
        while client.get("/health").status_code != 200:
            pass
        yield Api(client)
        client.portal.call(service.end)
    set_current_service(None)


@pytest.fixture
def api(database_url: str) -> Iterator[Api]:
    yield from serving(database_url)


@pytest.fixture
def ada(api: Api) -> Tokens:
    """Somebody who has registered and signed in."""
    assert api.register().status_code == 202
    return api.sign_in()
