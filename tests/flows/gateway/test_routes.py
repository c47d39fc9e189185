"""Every route of the gateway, with a real nginx: what arrives where, and who is let through."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from aura.errors import SettingsError
from bentos.accounts.service import app as accounts_app
from bentos.outfit_recommendation.service import app as outfits_app
from bentos.serving.errors import ErrorBody
from bentos.visual_analysis.service import app as visual_app
from flows.gateway.certificate import own_certificate
from flows.gateway.configuration import ERRORS, write_configuration
from flows.profile import load_profile
from flows.services import SERVICES
from tests.flows.gateway.conftest import Gateway, Start

ADMIN = {"cookie": "aura_pages=admin"}


def error_of(answer: httpx.Response, status: int, code: str) -> None:
    """The answer has the body that all services have."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = ErrorBody.model_validate_json(answer.text)
    assert body.error.code == code
    assert body.error.request_id == answer.headers["x-request-id"]


def test_every_service_is_reached_at_its_path(gateway: Gateway) -> None:
    for service in SERVICES.values():
        assert gateway.seen(f"{service.path}/things/a%2Fb?x=1%202")["path"] == f"{service.path}/things/a%2Fb?x=1%202"
    for path in ("/api/v1/visual-analysis/analyze", "/api/v1/accounts/token", "/v1/chat/completions"):
        assert gateway.seen(path, "POST", content=b"four")["length"] == 4
    assert gateway.client.get("/health").json() == {"state": "ready", "reasons": []}
    error_of(gateway.client.get("/nothing"), 404, "not_found")


def test_services_learn_who_asked_and_how_and_callers_cannot_pretend(gateway: Gateway) -> None:
    pretended = {
        "x-forwarded-for": "8.8.8.8",
        "x-forwarded-proto": "gopher",
        "forwarded": "for=8.8.8.8",
        "x-real-ip": "8.8.8.8",
    }
    seen = gateway.seen("/api/v1/accounts/me", headers=pretended)["headers"]
    assert isinstance(seen, dict)
    assert (seen["x-forwarded-for"], seen["x-forwarded-proto"]) == ("127.0.0.1", "https")
    assert seen["host"] == gateway.https.removeprefix("https://")
    assert {"forwarded", "x-real-ip"}.isdisjoint(seen)


def test_a_trusted_proxy_in_front_is_believed(start: Start) -> None:
    gateway = start("gateway.trusted_proxies=[127.0.0.0/8]")
    said = {"x-forwarded-for": "203.0.113.9, 198.51.100.7", "x-forwarded-proto": "https"}
    with httpx.Client(base_url=gateway.http, trust_env=False) as plain:  # that proxy has ended TLS
        answer = plain.get("/api/v1/accounts/me", headers=said)
    assert answer.json()["headers"]["x-forwarded-for"] == "198.51.100.7"
    assert answer.json()["headers"]["x-forwarded-proto"] == "https"


def test_the_request_id_is_the_callers_or_a_new_one(gateway: Gateway) -> None:
    for given, kept in (("abc-1", True), ("x" * 65, False), ('a"b', False), ("", False)):
        answer = gateway.client.get("/api/v1/accounts/me", headers={"x-request-id": given} if given else {})
        [returned] = answer.headers.get_list("x-request-id")
        assert returned == answer.json()["headers"]["x-request-id"]
        assert (returned == given) is kept
    assert gateway.client.get("/nothing", headers={"x-request-id": "abc-2"}).json()["error"]["request_id"] == "abc-2"


def test_http_goes_to_https_but_for_health(gateway: Gateway) -> None:
    with httpx.Client(base_url=gateway.http, trust_env=False) as plain:
        moved = plain.get("/api/v1/accounts/me?a=b")
        assert (moved.status_code, moved.headers["location"]) == (308, f"{gateway.https}/api/v1/accounts/me?a=b")
        assert plain.get("/health").status_code == 200
        wrong_port = plain.get(f"{gateway.https.replace('https', 'http')}/v1/models")
        assert (wrong_port.status_code, wrong_port.headers["location"]) == (308, f"{gateway.https}/v1/models")


def test_browsers_insist_on_https_only_with_a_given_certificate(start: Start, gateway: Gateway, tmp_path: Path) -> None:
    assert "strict-transport-security" not in gateway.client.get("/health").headers
    certificate, key = own_certificate(tmp_path / "given", ["localhost", "127.0.0.1"])
    given = start(f"gateway.certificate={certificate}", f"gateway.certificate_key={key}")
    trusting = ssl.create_default_context(cafile=str(certificate))
    with httpx.Client(verify=trusting, trust_env=False) as client:
        answer = client.get(f"{given.https}/health")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert "nginx/" not in answer.headers["server"]


def test_old_versions_of_tls_are_refused(gateway: Gateway) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    port = int(gateway.https.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 60) as plain, pytest.raises((ssl.SSLError, ConnectionError)):
        old.wrap_socket(plain)


@pytest.mark.parametrize("tool", ["mlflow", "prefect", "grafana"])
def test_tools_are_for_admins(gateway: Gateway, tool: str) -> None:
    error_of(gateway.client.get(f"/{tool}/page"), 401, "unauthenticated")
    error_of(gateway.client.get(f"/{tool}/page", headers={"cookie": "aura_pages=user"}), 403, "forbidden")
    browser = gateway.client.get(f"/{tool}/page", headers={"accept": "text/html,*/*"})
    assert (browser.status_code, browser.headers["location"]) == (
        303,
        f"{gateway.https}/api/v1/accounts/pages?next=/{tool}/page",
    )
    seen = gateway.seen(f"/{tool}/page?a=b", headers=ADMIN)
    prefix = "" if tool == "mlflow" else f"/{tool}"
    assert seen["path"] == f"{prefix}/page?a=b"
    error_of(gateway.client.get("/_admission"), 404, "not_found")


def test_prefects_api_lies_at_its_root_and_grafana_learns_the_name(gateway: Gateway) -> None:
    assert gateway.seen("/prefect/api/flow_runs/count", "POST", headers=ADMIN)["path"] == "/api/flow_runs/count"
    pretended = ADMIN | {"x-webauth-user": "root"}
    headers = gateway.seen("/grafana/api", headers=pretended)["headers"]
    assert isinstance(headers, dict)
    assert headers["x-webauth-user"] == "ada@example.org"


def test_a_websocket_passes(gateway: Gateway) -> None:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    url = f"{gateway.https.replace('https', 'wss')}/api/v1/conversational-ai/ws/chat"
    with connect(url, ssl=context, proxy=None, subprotocols=["aura"]) as talk:  # type: ignore[list-item]
        talk.send("hello")
        assert talk.recv(timeout=60) == "shared: hello"


def test_a_stream_arrives_piece_by_piece(gateway: Gateway) -> None:
    with gateway.client.stream("GET", "/api/v1/conversational-ai/stream") as answer:
        pieces = answer.iter_text()
        assert next(pieces) == "data: first\n\n"  # while the server holds the second one back
        assert gateway.client.get("/api/v1/conversational-ai/go").text == "gone"
        assert next(pieces) == "data: second\n\n"


def test_pages_of_allowed_origins_may_call_and_others_may_not(start: Start) -> None:
    gateway = start("serving.cors_origins=[https://shop.example]", "serving.max_json_bytes=1000")
    path, asks = "/api/v1/visual-analysis/analyze", {"access-control-request-method": "POST"}
    shop, other = {"origin": "https://shop.example"}, {"origin": "https://shop.example.evil.org"}
    allowed = gateway.client.options(path, headers=shop | asks | {"access-control-request-headers": "authorization"})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, "https://shop.example")
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert allowed.headers["access-control-allow-headers"] == "authorization"
    refused = gateway.client.options(path, headers=other | asks)
    error_of(refused, 403, "forbidden")
    assert "access-control-allow-origin" not in refused.headers
    answer = gateway.client.get(path, headers=shop)
    assert answer.headers.get_list("access-control-allow-origin") == ["https://shop.example"]
    assert "x-request-id" in answer.headers["access-control-expose-headers"]
    assert answer.headers["vary"] == "Origin"
    assert "access-control-allow-origin" not in gateway.client.get(path, headers=other).headers
    too_long = gateway.client.post("/api/v1/accounts/me", headers=shop, content=b"x" * 2000)
    error_of(too_long, 413, "too_large")
    assert too_long.headers["access-control-allow-origin"] == "https://shop.example", "the page can read why"


def test_no_page_may_call_by_default(gateway: Gateway) -> None:
    answer = gateway.client.get("/api/v1/accounts/me", headers={"origin": "https://shop.example"})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_bodies_are_as_long_as_the_route_takes(start: Start) -> None:
    gateway = start("serving.max_json_bytes=1000", "serving.max_body_bytes=200000", "serving.max_image_bytes=100000")
    for service in SERVICES.values():
        error_of(gateway.client.post(f"{service.path}/x", content=b"x" * 1001), 413, "too_large")
        for path in service.image_paths:
            assert gateway.seen(f"{service.path}{path}", "POST", content=b"x" * 200_000)["length"] == 200_000
            error_of(gateway.client.post(f"{service.path}{path}", content=b"x" * 200_001), 413, "too_large")
    # Without a length, counted as it comes.
    error_of(gateway.client.post("/v1/x", content=iter([b"x" * 600] * 2)), 413, "too_large")


def test_the_table_of_services_has_the_paths_that_take_images() -> None:
    for name, app in (
        ("visual_analysis", visual_app),
        ("outfit_recommendation", outfits_app),
        ("accounts", accounts_app),
    ):
        limit = next(m.kwargs["limit_bytes"] for m in app.user_middleware if "limit_bytes" in m.kwargs)
        paths = {getattr(route, "path", "") for route in app.routes} | set(SERVICES[name].image_paths)
        longer = {path for path in paths if limit({"path": path}) > app.state.serving.max_json_bytes}
        assert longer == set(SERVICES[name].image_paths)


def test_every_error_is_json_in_the_common_body() -> None:
    for error in ERRORS:
        ErrorBody.model_validate(json.loads(error.body))


def test_a_gateway_on_a_network_needs_tokens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    profile = load_profile("sample", ["gateway.host=0.0.0.0"])
    with pytest.raises(SettingsError, match=r"gateway\.host is 0\.0\.0\.0, and AURA_AUTH is off") as refused:
        write_configuration(profile, tmp_path)
    assert "AURA_AUTH=on" in refused.value.hint
    monkeypatch.setenv("AURA_AUTH", "on")
    monkeypatch.setenv("JWT_SECRET_KEY", "x" * 32)
    write_configuration(profile, tmp_path)
