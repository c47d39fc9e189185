"""`aura serve` leaves out what cannot start, and `aura status` says what is missing."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from aura.errors import ServiceError, SettingsError
from flows.cli.serve import _startable, serve, service_addresses
from flows.cli.status import _missing, _services, _state, collect
from flows.processes import free_port
from flows.profile import Profile, load_profile
from flows.services import SERVICES


@pytest.fixture
def settings() -> Profile:
    return load_profile("sample", [f"serving.ports.{name}={free_port()}" for name in SERVICES])


@contextmanager
def answering(status: int, body: Any) -> Iterator[str]:
    """Address of a server that gives one answer to everything."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode() if not isinstance(body, bytes) else body)

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/health"
        server.shutdown()


def test_a_service_without_its_champion_is_left_out_and_the_others_start(settings: Profile) -> None:
    said: list[str] = []
    services = _startable([*SERVICES], "sample", settings, lambda model: model != "chat", said.append)
    assert [service.name for service in services] == ["visual_analysis", "outfit_recommendation", "accounts"]
    [told] = said
    assert told.startswith("conversational_ai is left out")
    assert "no champion yet for: chat" in told


def test_a_service_whose_port_is_in_use_is_left_out_too(settings: Profile) -> None:
    said: list[str] = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", settings.serving.ports["visual_analysis"]))
        listener.listen()
        services = _startable([*SERVICES], "sample", settings, lambda _: True, said.append)
        assert [service.name for service in services] == ["outfit_recommendation", "conversational_ai", "accounts"]
        assert "--set serving.ports.visual_analysis=PORT" in said[0]
        with pytest.raises(ServiceError, match="cannot listen"):
            _startable(["visual_analysis"], "sample", settings, lambda _: True, said.append)


def test_without_any_champion_it_is_an_error_that_names_them(settings: Profile) -> None:
    with pytest.raises(ServiceError, match="no champion yet for: chat, detection, outfits") as caught:
        _startable([*SERVICES], "sample", settings, lambda _: False, lambda _: None)
    assert "aura nightly --profile sample" in caught.value.hint


def test_accounts_need_no_champion(settings: Profile) -> None:
    assert [
        service.name for service in _startable(["accounts"], "sample", settings, lambda _: False, lambda _: None)
    ] == ["accounts"]


def test_a_network_is_not_answered_without_asking_who_calls() -> None:
    with pytest.raises(SettingsError, match=r"serving.host is 0.0.0.0, and AURA_AUTH is off"):
        serve(overrides=["serving.host=0.0.0.0"])


def test_services_are_told_where_the_keys_of_tokens_and_the_tools_of_the_chat_are(
    settings: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = settings.serving.ports
    outfits = f"http://127.0.0.1:{ports['outfit_recommendation']}/api/v1/outfit-recommendation"
    photos = f"http://127.0.0.1:{ports['visual_analysis']}/api/v1/visual-analysis"
    keys = f"http://127.0.0.1:{ports['accounts']}/api/v1/accounts/jwks"
    tools = {"AURA_OUTFIT_SERVICE_URL": outfits, "AURA_VISUAL_SERVICE_URL": photos}
    assert service_addresses(settings) == tools | {"AURA_JWKS_URL": keys}
    monkeypatch.setenv("JWT_SECRET_KEY", "x" * 32)
    monkeypatch.setenv("AURA_OUTFIT_SERVICE_URL", "http://elsewhere")
    assert service_addresses(settings) == tools | {"AURA_OUTFIT_SERVICE_URL": "http://elsewhere"}


@pytest.mark.parametrize(
    ("status", "state", "reasons"),
    [(200, "ready", []), (200, "degraded", ["no index"]), (503, "live", ["the model is being loaded"])],
)
def test_status_tells_the_state_and_reasons_of_a_service(status: int, state: str, reasons: list[str]) -> None:
    with answering(status, {"state": state, "reasons": reasons}) as url:
        assert _state(url) == (state, reasons)


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (404, {"error": "?"}), (200, []), (200, "text")])
def test_status_knows_a_stranger_at_the_port(status: int, body: Any) -> None:
    with answering(status, body) as url:
        assert _state(url) == (f"answers {status}", ["what answers there is not this service"])


def test_status_says_what_a_service_that_does_not_run_is_missing(settings: Profile) -> None:
    models = {name: {"champion": "1"} for name in ("detection", "outfits")} | {"chat": {"champion": None}}
    found = _services(settings.serving, _missing(models, {"ready": False}))
    assert {entry["state"] for entry in found.values()} == {"not running"}
    assert found["visual_analysis"]["reasons"] == ["the index is not built"]
    assert found["accounts"]["reasons"] == []
    assert found["conversational_ai"]["reasons"] == ["no champion of chat", "the index is not built"]
    assert _services(settings.serving, _missing(models, {"ready": True}))["visual_analysis"]["reasons"] == []


def test_a_store_that_does_not_answer_does_not_hide_the_services(settings: Profile) -> None:
    ports = [f"serving.ports.{name}={port}" for name, port in settings.serving.ports.items()]
    found = collect("sample", [*ports, f"tracking.uri=http://127.0.0.1:{free_port()}"])
    [problem] = found["problems"]
    assert "no MLflow server answers" in problem
    assert {entry["state"] for entry in found["services"].values()} == {"not running"}
    assert not any(entry["reasons"] for entry in found["services"].values()), "whether there are champions is unknown"
    assert found["index"] == {"ready": False, "version": None}
