"""What a service's OpenAPI document says is so: schemathesis asks every endpoint, with what fits and with what does not."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
import schemathesis
from _bentoml_sdk.service import set_current_service
from fastapi import FastAPI
from hypothesis import strategies
from schemathesis.config import SchemathesisConfig
from schemathesis.schemas import BaseSchema

from bentos.accounts.access_tokens import AccessTokens
from bentos.conversational_ai.openai_api import openai_app
from bentos.serving.app import apply_settings
from bentos.serving.auth import AuthRules
from bentos.serving.settings import ServingSettings
from bentos.serving.tokens import Caller
from tests.bentos.stub_assets import StubAssets
from tests.bentos.stub_services import SERVICES, picture_base64, picture_file

schemathesis.openapi.media_type(
    "image/*", strategies.sampled_from([picture_file(form) for form in ("PNG", "JPEG", "WEBP")])
)
schemathesis.openapi.format("byte", strategies.just(picture_base64()))


_ACCEPTS = ["2xx"]
_CONFIG = {
    "generation": {"max-examples": 25},
    "operations": [
        {
            # JSON Schema has no word for the last of a list, which must be the user's message.
            "include-path": "/chat",
            "checks": {"positive_data_acceptance": {"expected-statuses": [*_ACCEPTS, "422"]}},
        },
        {
            # Of a list of files schemathesis sends the parts without file names, and such a part of a form is a text.
            "include-path": "/analyze/photos",
            "checks": {"positive_data_acceptance": {"expected-statuses": [*_ACCEPTS, "422"]}},
        },
        *(
            {
                # Garments of a wardrobe lie in a database, which is not there: 422 says so.
                "include-path": path,
                "checks": {"positive_data_acceptance": {"expected-statuses": [*_ACCEPTS, "422"]}},
            }
            for path in ("/recommend", "/evaluate", "/outfits")
        ),
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
