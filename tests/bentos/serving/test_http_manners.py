"""What HTTP and browsers expect of a service, asked over real HTTP through BentoML and uvicorn."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bentoml
import httpx
import pytest
from fastapi import Request, WebSocket
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from aura.errors import SettingsError
from aura.settings import validate
from bentos.serving.app import answer_unknown_paths, apply_settings, make_app
from bentos.serving.docs_page import root_page
from bentos.serving.request_body import RequestBody
from bentos.serving.settings import ServingSettings
from bentos.serving.uploads import upload_schema, uploaded
from tests.bentos.serving.http_server import served

PATH = "/api/v1/test"
PAGE = "https://shop.example"
LIMITS = ServingSettings(cors_origins=(PAGE,), max_json_bytes=1000, max_image_bytes=2000, max_body_bytes=4000)

app = make_app("Aura test", "Takes text and files.", image_paths=("/file",))


class Body(RequestBody):
    text: str = ""


@bentoml.service(name="test_manners")
@bentoml.asgi_app(app, path=PATH)
@bentoml.asgi_app(root_page(app, PATH), path="/")
class Manners:
    """Its endpoints are methods, as those of our services are: BentoML moves them into a router of their own."""

    def __init__(self) -> None:
        apply_settings(app, LIMITS)

    @app.get("/health")
    async def health(self) -> dict[str, str]:
        return {"state": "ready"}

    @app.get("/thing")
    async def get_thing(self) -> dict[str, int]:
        return {"a": 1}

    @app.post("/text")
    async def take_text(self, body: Body) -> int:
        return len(body.text)

    @app.post("/file", openapi_extra=upload_schema("image", ["JPEG"]))
    async def take_file(self, request: Request) -> int:
        return len(await uploaded(request, "image", LIMITS))

    @app.websocket("/ws")
    async def talk(self, websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")


answer_unknown_paths(app)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served(Manners) as address:
        yield address + PATH


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        yield client


def error_of(response: httpx.Response, status: int, code: str) -> dict[str, str]:
    assert response.status_code == status, response.text
    error: dict[str, str] = response.json()["error"]
    assert error.keys() == {"code", "message", "hint", "request_id"}
    assert (error["code"], error["request_id"]) == (code, response.headers["x-request-id"])
    return error


@pytest.mark.parametrize("path", ["/thing", "/docs", "/docs/swagger-ui.css", "/openapi.json"])
def test_head_is_get_without_a_body(client: httpx.Client, path: str) -> None:
    got, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    for name in ("content-type", "content-length"):
        assert head.headers[name] == got.headers[name]
    assert client.head("/none").status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", "POST"])
@pytest.mark.parametrize("path", ["/thing", "/text", "/file", "/docs", "/docs/swagger-ui.css", "/openapi.json"])
def test_what_a_path_does_not_take_is_answered_with_what_it_takes(client: httpx.Client, method: str, path: str) -> None:
    allowed = client.options(path).headers["allow"].split(", ")
    assert allowed == (["OPTIONS", "POST"] if path in ("/text", "/file") else ["GET", "HEAD", "OPTIONS"])
    response = client.request(method, path)
    assert (response.status_code == 405) == (method not in allowed)
    if response.status_code == 405:
        assert response.headers["allow"].split(", ") == allowed
        if method != "HEAD":
            error_of(response, 405, "method_not_allowed")


JSON, TEXT = {"content-type": "application/json"}, b'{"text": "abc"}'


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"},
     {"content-type": "multipart/form-data; boundary=x"}, {"content-type": "application/jsonp"}],
)  # fmt: skip
def test_a_body_of_another_type_is_not_taken_for_json(client: httpx.Client, headers: dict[str, str]) -> None:
    refused = client.post("/text", content=TEXT, headers=headers)
    assert "takes application/json" in error_of(refused, 415, "unsupported_media_type")["message"]
    assert refused.headers["accept"] == "application/json"
    in_pieces = client.post("/text", content=iter([TEXT]), headers=headers)  # without a length
    assert in_pieces.status_code == 415


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/hal+json"])
def test_json_is_taken_by_all_its_names(client: httpx.Client, kind: str) -> None:
    assert client.post("/text", content=TEXT, headers={"content-type": kind}).json() == 3


FILE = ("a.jpg", b"abc")


@pytest.mark.parametrize(
    ("request_parts", "said"),
    [({}, "no file of this name; its fields: none"), ({"files": {"file": FILE, "b": FILE}}, "its fields: file, b"),
     ({"files": [("image", FILE), ("image", FILE)]}, "send one file per request"),
     ({"files": {"b": FILE}, "data": {"image": "a.jpg"}}, "-F image=@photo.jpg")],
)  # fmt: skip
def test_a_form_must_have_one_file_and_it_is_said_what_it_has(
    client: httpx.Client, request_parts: dict[str, Any], said: str
) -> None:
    message = error_of(client.post("/file", **request_parts), 422, "invalid_request")["message"]
    assert message.startswith("body.image: ")
    assert said in message


def test_a_file_that_is_no_form_is_not_taken_for_one(client: httpx.Client) -> None:
    assert client.post("/file", files={"image": FILE}).json() == 3
    for kind in ("image/jpeg", "application/octet-stream", "application/x-www-form-urlencoded"):
        refused = client.post("/file", content=b"abc", headers={"content-type": kind})
        assert "takes multipart/form-data" in error_of(refused, 415, "unsupported_media_type")["message"]
    broken = client.post("/file", content=b"abc", headers={"content-type": "multipart/form-data; boundary=x"})
    error_of(broken, 400, "invalid_request")
    assert client.post("/file", files={f"f{number}": FILE for number in range(101)}).status_code in (400, 413)


def test_each_route_has_the_limit_that_its_bodies_need(client: httpx.Client) -> None:
    text = json.dumps({"text": "x" * 1500}).encode()
    assert "at most 1000 " in error_of(client.post("/text", content=text, headers=JSON), 413, "too_large")["message"]
    assert "at most 1000 " in error_of(client.post("/none", content=text), 413, "too_large")["message"]
    assert client.post("/file", files={"image": b"x" * 1500}).json() == 1500
    assert (
        "at most 2000 "
        in error_of(client.post("/file", files={"image": b"x" * 2001}), 400, "invalid_request")["message"]
    )
    assert "at most 4000 " in error_of(client.post("/file", files={"image": b"x" * 4001}), 413, "too_large")["message"]


def test_pages_of_the_settings_may_call_and_no_others(client: httpx.Client) -> None:
    def preflight(origin: str) -> httpx.Response:
        asks = {"access-control-request-method": "POST", "access-control-request-headers": "content-type,x-request-id"}
        return client.options("/text", headers={"origin": origin} | asks)

    allowed = preflight(PAGE)
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert "content-type" in allowed.headers["access-control-allow-headers"]
    for response in (
        client.get("/thing", headers={"origin": PAGE}),
        client.post("/text", content=b"{", headers=JSON | {"origin": PAGE}),  # an error must be readable too
        client.post("/text", content=b"x" * 2000, headers=JSON | {"origin": PAGE}),
    ):
        assert response.headers["access-control-allow-origin"] == PAGE
        assert "x-request-id" in response.headers["access-control-expose-headers"]
    for origin in ("https://other.example", "http://shop.example", f"{PAGE}.other.example", "null"):
        assert "access-control-allow-origin" not in preflight(origin).headers
        assert "access-control-allow-origin" not in client.get("/thing", headers={"origin": origin}).headers


def test_a_websocket_opens_for_programs_the_own_page_and_pages_of_the_settings(url: str) -> None:
    address = url.replace("http", "ws", 1) + "/ws"
    own = url.removesuffix(PATH)
    for origin in (None, PAGE, own):
        with connect(address, origin=origin, proxy=None, open_timeout=60) as socket:
            assert socket.recv(timeout=60) == "hello"
    for origin in ("https://other.example", "null", "http://127.0.0.1:1", "http://["):
        with pytest.raises(InvalidStatus) as refused, connect(address, origin=origin, proxy=None, open_timeout=60):
            pass
        assert refused.value.response.status_code == 403
        error = json.loads(refused.value.response.body)["error"]
        assert (error["code"], origin in error["message"]) == ("forbidden", True)


@pytest.mark.parametrize("origin", ["shop.example", f"{PAGE}/", f"{PAGE}/page", "ftp://shop.example", ""])
def test_an_origin_that_no_browser_sends_is_refused_in_the_settings(origin: str) -> None:
    with pytest.raises(SettingsError, match=r"serving\.cors_origins\.0"):
        validate(ServingSettings, {"cors_origins": [origin]}, "serving")
    assert ServingSettings(cors_origins=("*", "http://localhost:3000")).cors_origins


def test_the_docs_page_needs_nobody_else(client: httpx.Client) -> None:
    page = client.get("/docs").text
    addresses = re.findall(r"""(?:src|href|url)\s*[=:]\s*["']([^"']+)["']""", page)
    assert len(addresses) == 4
    for address in addresses:
        assert address.startswith(f"{PATH}/")
        file = client.get(address.removeprefix(PATH))
        assert (file.status_code, bool(file.content)) == (200, True)
    assert "://" not in page
    assert '"validatorUrl": null' in page
    assert client.get("/openapi.json").json()["paths"]["/file"]["post"]["requestBody"]["required"] is True


def test_the_root_leads_to_the_docs(url: str) -> None:
    root = httpx.get(url.removesuffix(PATH), follow_redirects=True, trust_env=False, timeout=60)
    assert (root.status_code, root.url.path) == (200, f"{PATH}/docs")


def test_health_is_told_at_the_root_too(url: str) -> None:
    root = httpx.get(url.removesuffix(PATH) + "/health", trust_env=False, timeout=60)
    assert (root.status_code, root.json()) == (200, {"state": "ready"})


def test_the_docs_page_shows_the_endpoints_in_a_browser_that_reaches_nothing_else(url: str, tmp_path: Path) -> None:
    browser = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--virtual-time-budget=30000", "--dump-dom",
    ]  # fmt: skip
    page = subprocess.run([*browser, f"{url}/docs"], capture_output=True, text=True, check=True).stdout
    assert 'data-path="/file"' in page
    assert "Take File" in page
