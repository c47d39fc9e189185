"""The endpoints of a service that a test has made, with a database, and who may call them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from _bentoml_sdk.service import set_current_service
from fastapi import FastAPI
from fastapi.testclient import TestClient

from bentos.serving.app import apply_settings
from bentos.serving.auth import AuthRules
from bentos.serving.settings import ServingSettings


@contextmanager
def served_app(app: FastAPI, service: Any, settings: ServingSettings, rules: AuthRules) -> Iterator[TestClient]:
    """A client of `app`, whose endpoints find the service; its database is closed in the end."""
    set_current_service(service)
    apply_settings(app, settings, rules)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
        assert client.portal is not None
        client.portal.call(service.close_database)
    app.state.auth = None
    set_current_service(None)
