"""What the accounts' OpenAPI document says is so: schemathesis asks every endpoint over HTTP, with what fits and what not."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import psycopg
import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig

from bentos.accounts import service
from bentos.accounts.settings import AccountsSettings
from bentos.serving.settings import ServingSettings
from stores.local_server import LocalServer
from tests.bentos.accounts.conftest import EMAIL, PASSWORD, QUICK
from tests.bentos.serving.http_server import served
from tests.bentos.stub_assets import StubAssets

pytestmark = pytest.mark.slow

_CONFIG = {
    "generation": {"max-examples": 15},
    # What a schema cannot say: that an address is one, that a password is the right one, that a text is base64.
    "checks": {"positive_data_acceptance": {"enabled": False}},
}
_ENDINGS = ["/sign-out", "/deletion", "/password"]
"""Endpoints that would end the session that the others are asked with."""


@pytest.fixture(scope="module")
def url(postgres_server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The service with a database of its own, over HTTP."""
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE test_openapi")
    many = AccountsSettings(**{**QUICK.model_dump(), "feedback_per_day": 100_000})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AURA_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("AURA_DATABASE_URL", postgres_server.url("test_openapi"))
        patch.setattr(service, "start_process", lambda: StubAssets(serving=ServingSettings(accounts=many)))
        with served(service.AccountsService) as address:
            while httpx.get(f"{address}{service.PATH}/health", timeout=60).status_code != 200:
                pass
            yield f"{address}{service.PATH}"


@pytest.fixture(scope="module")
def headers(url: str) -> dict[str, str]:
    httpx.post(f"{url}/register", json={"email": EMAIL, "password": PASSWORD}, timeout=60).raise_for_status()
    tokens = httpx.post(f"{url}/token", data={"username": EMAIL, "password": PASSWORD}, timeout=60).json()
    return {"Authorization": f"Bearer {tokens['access_token']}"}


document = schemathesis.openapi.from_dict(service.app.openapi(), config=SchemathesisConfig.from_dict(_CONFIG))


@document.exclude(path=_ENDINGS).parametrize()
def test_it_does_what_it_says(case: schemathesis.Case, url: str, headers: dict[str, str]) -> None:
    case.call_and_validate(base_url=url, headers=headers)
