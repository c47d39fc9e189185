"""The services as MCP tools, asked by the library's own client: in memory, over standard input and output, and over HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters

from aura.paths import repo_root
from flows.mcp_server import make_server
from flows.services import SERVICES

TOOLS = {"analyze_photo", "recommend", "evaluate_outfit", "ask", "search_knowledge"}


@dataclass
class Services:
    """All services at one address: answer with their path, or with an error."""

    port: int = 0
    fails: bool = False
    calls: list[tuple[str, bytes]] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    @property
    def urls(self) -> dict[str, str]:
        return {name: f"http://127.0.0.1:{self.port}{service.path}" for name, service in SERVICES.items()}


@pytest.fixture
def services() -> Iterator[Services]:
    state = Services()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            state.tokens.append(self.headers["authorization"])
            state.calls.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            error = {"error": {"code": "invalid_request", "message": "this is no photo", "hint": "send one"}}
            body = json.dumps(error if state.fails else {"path": self.path}).encode()
            self.send_response(400 if state.fails else 200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.port = http.server_port
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield state
    http.shutdown()
    http.server_close()


def call(server: Any, tool: str, **arguments: Any) -> Any:
    async def called() -> Any:
        async with Client(server) as client:
            return await client.call_tool(tool, arguments)

    return asyncio.run(called())


def test_every_tool_says_what_it_takes(services: Services) -> None:
    async def listed() -> Any:
        async with Client(make_server(services.urls, local_files=True)) as client:
            return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in asyncio.run(listed())}
    assert tools.keys() == TOOLS
    assert all(tool.description for tool in tools.values())
    assert tools["ask"].input_schema["required"] == ["question"]
    assert "category" in json.dumps(tools["recommend"].input_schema)


def test_a_tool_calls_its_service_and_gives_back_what_it_says(services: Services) -> None:
    server = make_server(services.urls, local_files=True)
    shirt = {"category": "tops", "title": "White shirt"}
    expected = {
        "recommend": ("outfit-recommendation/recommend", {"items": [shirt], "targets": ["shoes"], "k": 5}),
        "evaluate_outfit": ("outfit-recommendation/evaluate", {"items": [shirt]}),
        "ask": ("conversational-ai/chat", {"messages": [{"role": "user", "content": "Which shoes?"}], "passages": 3}),
        "search_knowledge": ("conversational-ai/rag/query", {"query": "wool", "k": 2}),
    }
    arguments: dict[str, dict[str, Any]] = {
        "recommend": {"items": [shirt], "targets": ["shoes"]}, "evaluate_outfit": {"items": [shirt]},
        "ask": {"question": "Which shoes?"}, "search_knowledge": {"query": "wool", "k": 2},
    }  # fmt: skip
    for tool, (path, body) in expected.items():
        result = call(server, tool, **arguments[tool])
        assert result.structured_content == {"path": f"/api/v1/{path}"}
        sent = json.loads(services.calls[-1][1])
        for item in sent.get("items", []):
            assert item.items() >= shirt.items()
            assert not item.keys() - {"category", "title"}
        assert sent.keys() == body.keys()
        assert {key: sent[key] for key in body if key != "items"} == {key: body[key] for key in body if key != "items"}


def test_services_are_called_in_the_name_of_whose_token_it_has(services: Services) -> None:
    call(make_server(services.urls, local_files=True), "ask", question="Which shoes?")
    call(make_server(services.urls, local_files=True, token="abc"), "ask", question="Which shoes?")
    assert services.tokens == [None, "Bearer abc"]


def test_a_photo_comes_from_a_file_or_from_the_caller(services: Services, tmp_path: Path) -> None:
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a photo")
    server = make_server(services.urls, local_files=True)
    for arguments in ({"path": str(photo)}, {"image_base64": base64.b64encode(b"a photo").decode()}):
        result = call(server, "analyze_photo", **arguments, similar=2)
        assert result.structured_content == {"path": "/api/v1/visual-analysis/analyze?similar=2"}
        assert b"a photo" in services.calls[-1][1]
    for wrong in ({}, {"path": "/missing"}, {"image_base64": "?"}):
        assert call(server, "analyze_photo", **wrong).is_error
    remote = call(make_server(services.urls, local_files=False), "analyze_photo", path=str(photo))
    assert remote.is_error
    assert "reads no files" in remote.content[0].text


def test_an_error_of_a_service_is_told_in_its_words(services: Services) -> None:
    services.fails = True
    server = make_server(services.urls, local_files=True)
    failed = call(server, "ask", question="Which shoes?")
    assert failed.is_error
    assert "this is no photo. send one" in failed.content[0].text
    away = call(make_server(dict.fromkeys(SERVICES, "http://127.0.0.1:9"), local_files=True), "ask", question="Hm?")
    assert away.is_error
    assert "aura serve" in away.content[0].text


@pytest.mark.slow
def test_the_command_serves_a_client_over_standard_input_and_output(services: Services) -> None:
    ports = [f"--set=serving.ports.{name}={services.port}" for name in SERVICES]
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "flows.cli.app", "mcp", *ports],
        env={"PYTHONPATH": str(repo_root())}, cwd=str(repo_root()),
    )  # fmt: skip
    result = call(command, "search_knowledge", query="wool")
    assert result.structured_content == {"path": "/api/v1/conversational-ai/rag/query"}
