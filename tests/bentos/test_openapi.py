"""What a service's OpenAPI document says is so: schemathesis asks every endpoint, with what fits and with what does not."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest
import schemathesis
from _bentoml_sdk.service import set_current_service
from fastapi import FastAPI
from hypothesis import HealthCheck, settings, strategies
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema
from starlette.applications import Starlette
from starlette.routing import Mount

from bentos.accounts.access_tokens import AccessTokens
from bentos.accounts.service import AccountsService
from bentos.accounts.service import app as accounts_app
from bentos.conversational_ai.openai_api import openai_app
from bentos.serving.app import apply_settings
from bentos.serving.auth import AuthRules
from bentos.serving.settings import ServingSettings
from bentos.serving.tokens import Caller
from tests.bentos.accounts.conftest import EMAIL, PASSWORD, QUICK
from tests.bentos.serving.http_server import listening
from tests.bentos.stub_assets import StubAssets
from tests.bentos.stub_services import SERVICES, picture_base64, picture_file

schemathesis.openapi.media_type(
    "image/*", strategies.sampled_from([picture_file(form) for form in ("PNG", "JPEG", "WEBP")])
)
schemathesis.openapi.format("byte", strategies.just(picture_base64()))


_ACCEPTS = ["2xx"]
_EXAMPLES = {"max-examples": 25}
_CONFIG = {
    "generation": _EXAMPLES,
    "operations": [
        {
            # JSON Schema has no word for the last of a list, which must be the user's message.
            "include-path": "/chat",
            "checks": {"positive_data_acceptance": {"expected-statuses": [*_ACCEPTS, "422"]}},
        },
        {
            # Any text may be a model's name, and what OpenAI takes is wider than what is understood.
            "include-path": "/chat/completions",
            "checks": {"positive_data_acceptance": {"expected-statuses": [*_ACCEPTS, "400", "404", "422"]}},
        },
        {
            "include-path": "/models/{model}",
            "checks": {"positive_data_acceptance": {"expected-statuses": [*_ACCEPTS, "404"]}},
        },
    ],
    "checks": {"positive_data_acceptance": {"expected-statuses": _ACCEPTS}},
}


_ACCOUNTS = {
    "generation": _EXAMPLES,
    # No schema says what a password must be, who is an admin, whether an address is taken and a file is a photo.
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "401", "403", "404", "409", "422", "429"]}
    },
}


def document(app: FastAPI) -> BaseSchema:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=SchemathesisConfig.from_dict(_CONFIG))
    schema.auth()(Signed)
    return schema


class Signed:
    """Signs what is asked with a token; schemathesis sees for itself what is answered without one."""

    token = ""
    """Of the test that runs."""

    def get(self, _case: schemathesis.Case, _context: schemathesis.AuthContext) -> str:
        return self.token

    def set(self, case: schemathesis.Case, token: str, _context: schemathesis.AuthContext) -> None:
        case.headers["Authorization"] = f"Bearer {token}"


class Asked:
    """A service for a whole class of tests: its processes that decode stay."""

    name: str

    @pytest.fixture(scope="class", autouse=True)
    def _serve(self) -> Iterator[None]:
        app, service, runner = SERVICES[self.name]
        set_current_service(service.inner(StubAssets(), runner()))
        tokens = AccessTokens("a secret of more than 32 characters", 3600)
        for asked in (app, openai_app):
            apply_settings(asked, ServingSettings(), AuthRules(required=True, keys=tokens))
        Signed.token = tokens.signed(Caller(user_id=uuid.uuid4(), session_id=uuid.uuid4(), role="user"))
        yield
        set_current_service(None)


class TestVisualAnalysis(Asked):
    name = "visual_analysis"

    @document(SERVICES[name][0]).parametrize()
    def test_it_does_what_it_says(self, case: schemathesis.Case) -> None:
        case.call_and_validate()


def _accounts_document() -> BaseSchema:
    schema = schemathesis.openapi.from_dict(accounts_app.openapi(), config=SchemathesisConfig.from_dict(_ACCOUNTS))
    schema.auth(refresh_interval=None)(Signed)
    return schema


class TestAccounts:
    """On a real database, as somebody who has signed in; who is deleted meanwhile, or signed out, is answered with 401."""

    @pytest.fixture
    def url(self, database_url: str) -> Iterator[str]:
        """Address of the service."""
        service = AccountsService.inner(StubAssets(serving=ServingSettings(accounts=QUICK)), database_url)

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            await service.begin()
            yield
            await service.end()

        set_current_service(service)
        with listening(Starlette(routes=[Mount("/", accounts_app)], lifespan=lifespan)) as url:
            with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
                while client.get("/health").status_code != 200:
                    time.sleep(0.1)
                client.post("/register", json={"email": EMAIL, "password": PASSWORD})
                answer = client.post("/token", data={"username": EMAIL, "password": PASSWORD})
                Signed.token = answer.json()["access_token"]
            yield url
        set_current_service(None)

    @_accounts_document().parametrize()
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_it_does_what_it_says(self, case: schemathesis.Case, url: str) -> None:
        case.call_and_validate(base_url=url)


class TestOutfitRecommendation(Asked):
    name = "outfit_recommendation"

    @document(SERVICES[name][0]).parametrize()
    def test_it_does_what_it_says(self, case: schemathesis.Case) -> None:
        case.call_and_validate()


class TestConversationalAI(Asked):
    name = "conversational_ai"

    @document(SERVICES[name][0]).parametrize()
    def test_it_does_what_it_says(self, case: schemathesis.Case) -> None:
        case.call_and_validate()

    @document(openai_app).parametrize()
    def test_so_does_its_api_in_openais_format(self, case: schemathesis.Case) -> None:
        case.call_and_validate()
