"""Errors name what is wrong and never grow with what was sent."""

from __future__ import annotations

import json
from typing import Annotated, Any

import pytest
from fastapi import File, Form
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from aura.errors import InvalidRequestError
from bentos.serving.app import answer_unknown_paths, apply_settings, make_app
from bentos.serving.error_text import MAX_PROBLEM_CHARS, MAX_PROBLEMS, bounded, shortened
from bentos.serving.request_body import RequestBody
from bentos.serving.settings import ServingSettings

MOST = 3000
"""Bytes of an error: ten problems of 200 characters, and the rest of the body."""

app = make_app("test", "test", image_paths=("/items", "/upload"))
apply_settings(app, ServingSettings())


class Item(RequestBody):
    item_id: str = Field(default="", max_length=200)
    kind: int = 0


class Items(RequestBody):
    items: list[Item] = Field(default_factory=list)


@app.post("/items")
async def take_items(body: Items) -> int:
    return len(body.items)


@app.post("/upload")
async def upload(name: Annotated[str, Form(max_length=5)], file: Annotated[bytes, File()]) -> int:
    return len(name) + len(file)


@app.get("/echo")
async def echo(times: int = 3_000_000) -> None:
    raise InvalidRequestError(f"the catalog has no item {'x' * times!r}", hint="y" * times)


@app.get("/many")
async def many() -> None:
    raise InvalidRequestError("\n".join(f"problem {number}" for number in range(100_000)))


answer_unknown_paths(app)


@pytest.fixture
def client() -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def small_error(response: Any, status: int) -> str:
    assert response.status_code == status, response.text[:500]
    assert len(response.content) < MOST
    message: str = response.json()["error"]["message"]
    return message


KEYS = {f"key-{number}": number for number in range(80_000)}
BODIES = {
    "unknown keys": KEYS,
    "unknown keys further in": {"items": [KEYS]},
    "a long key": {"k" * 3_000_000: 1},
    "long keys": {f"{number}" * 300_000: 1 for number in range(9)},
    "a long text": {"items": [{"item_id": "i" * 3_000_000}]},
    "wrong items": {"items": ["x"] * 90_000},
    "texts for numbers": {"items": [{"kind": "one" * 10}] * 30_000},
    "a text": "x" * 3_000_000,
    "half of a pair": {"\ud800": 1},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_body_that_is_refused_does_not_come_back(client: TestClient, body: Any) -> None:
    content = json.dumps(body).encode()
    assert small_error(client.post("/items", content=content, headers={"content-type": "application/json"}), 422)


@pytest.mark.parametrize("values", [b"1,", b'"a":1,', b"[],"])
def test_more_values_than_any_request_needs_are_not_parsed(client: TestClient, values: bytes) -> None:
    """Six million would take seconds, in which nobody else is answered, and gigabytes."""
    content = b"[" + values * 6_000_000
    refused = client.post("/items", content=content, headers={"content-type": "Application/JSON; charset=utf-8"})
    assert "commas; at most 100000" in small_error(refused, 413)
    nested = client.post("/items", content=b"[" * 9_000_000, headers={"content-type": "application/json"})
    assert small_error(nested, 400)


def test_nor_does_a_path_a_query_a_method_or_a_form(client: TestClient) -> None:
    assert "there is no /none" in small_error(client.get("/none" + "x" * 60_000), 404)
    assert small_error(client.get("/echo", params={"times": "x" * 60_000}), 422)
    assert small_error(client.request("X" * 60_000, "/items"), 405)
    assert small_error(client.post("/upload", data={"name": "n" * 900_000}, files={"file": b"f"}), 422)
    assert small_error(client.post("/upload", data={f"f{n}" * 100: "" for n in range(900)}, files={"file": b"f"}), 422)
    assert small_error(client.post("/items", content=b"{}", headers={"content-type": "t" * 60_000}), 415)


def test_what_the_service_itself_says_is_bounded_too(client: TestClient) -> None:
    message = small_error(client.get("/echo"), 400)
    assert message.startswith("the catalog has no item 'xxx")
    assert message.endswith("xxx'"), "what stands at the end is often what matters"
    assert small_error(client.get("/many"), 400).split("\n")[-1] == "and 99990 more"


def test_few_problems_are_all_said_in_full(client: TestClient) -> None:
    message = small_error(client.post("/items", json={"items": [{"kind": "a", "colour": "red"}], "size": 1}), 422)
    assert [problem.split(": ")[0] for problem in message.split("; ")] == [
        "body.items.0.kind", "body.items.0.colour", "body.size",
    ]  # fmt: skip


@given(st.text())
def test_texts_are_bounded_printable_and_kept_when_they_are_short(text: str) -> None:
    assert len(shortened(text * 50).encode("utf-8", "strict")) <= 10 * MAX_PROBLEM_CHARS
    assert len(bounded(text * 50).split("\n")) <= MAX_PROBLEMS + 1
    if len(text) <= MAX_PROBLEM_CHARS and not any(0xD800 <= ord(letter) < 0xE000 for letter in text):
        assert shortened(text) == text
