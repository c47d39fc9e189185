"""Secrets in passwords, tokens, messages, titles and feedback are in no log, metric, error or record of anything that runs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from flows.service_smoke_test import drawn_photo
from tests.e2e.conftest import Nights

pytestmark = pytest.mark.slow

PASSWORD, TOKEN, WORDS = "PLANTEDPASSWORD-9f2c", "PLANTEDTOKEN9f2c", "PLANTEDWORDS9f2c"
_KEEP_IT = {"postgres", "pictures"}
"""Where what people have is kept, as is its purpose."""


def test_no_record_holds_a_secret(urls: dict[str, str], nights: Nights) -> None:
    home, began = nights.world.home, time.time()
    answers = [*_answers(urls)]
    files = [file for file in _written(home) if file.stat().st_mtime >= began - 1]
    assert "logs" in {file.relative_to(home).parts[0] for file in files}
    metrics = [httpx.get(httpx.URL(url).join("/metrics"), timeout=60) for url in urls.values()]
    for answer in (*answers, *metrics):
        assert not _planted(answer.content), answer.url
    for file in files:
        assert not _planted(file.read_bytes()), file
    logs = "".join(file.read_text(encoding="utf-8", errors="replace") for file in (home / "logs").rglob("serve-*.log"))
    assert "/api/v1/accounts/token" in logs, "these are the logs of the services that were asked"


def _answers(urls: dict[str, str]) -> Iterator[httpx.Response]:
    """Errors that requests with secrets in them met; what is answered well is its asker's own."""
    accounts, chat, outfits = urls["accounts"], urls["conversational_ai"], urls["outfit_recommendation"]
    with httpx.Client(timeout=120, trust_env=False) as client:
        account = {"email": "planted@example.org", "password": PASSWORD}
        assert client.post(f"{accounts}/register", json=account).status_code == 202
        yield _refused(client.post(f"{accounts}/register", json=account | {"more": PASSWORD}))
        yield _refused(
            client.post(f"{accounts}/token", data={"username": account["email"], "password": f"{PASSWORD}x"})
        )
        signed_in = client.post(f"{accounts}/token", data={"username": account["email"], "password": PASSWORD})
        assert signed_in.status_code == 200, signed_in.text
        _tokens.extend((signed_in.json()["access_token"], signed_in.json()["refresh_token"]))
        headers = {"authorization": f"Bearer {_tokens[0]}"}
        for url in urls.values():
            bad = {"authorization": f"Bearer {TOKEN}"}
            yield _refused(client.post(f"{url}/no-such-path", headers=bad, json={"x": WORDS}))
            yield _refused(client.get(f"{url}/no-such-path", headers=headers))
        rating = {"kind": "answer", "thumbs": "up", "question": WORDS, "answer": WORDS}
        assert client.post(f"{accounts}/feedback", json=rating, headers=headers).status_code == 201
        yield _refused(client.post(f"{accounts}/feedback", json=rating | {"thumbs": WORDS}, headers=headers))
        question = {"messages": [{"role": "user", "content": f"Which shoes suit {WORDS}?"}]}
        assert client.post(f"{chat}/chat", json=question, headers=headers).status_code == 200
        yield _refused(client.post(f"{chat}/chat", json={"messages": [{"role": WORDS, "content": WORDS}]}))
        garment = {"category": "tops", "title": WORDS}
        assert client.post(f"{outfits}/evaluate", json={"items": [garment]}, headers=headers).status_code == 200
        yield _refused(client.post(f"{outfits}/evaluate", json={"items": [garment | {"category": "hat"}]}))
        photo = (f"{WORDS}.jpg", drawn_photo(), "image/jpeg")
        assert client.post(f"{urls['visual_analysis']}/analyze", files={"image": photo}).status_code == 200
        yield _refused(client.post(f"{urls['visual_analysis']}/analyze", files={"image": (f"{WORDS}.jpg", b"no")}))
    with connect(f"{chat.replace('http', 'ws', 1)}/ws/chat", open_timeout=60) as socket:
        socket.send(json.dumps({"content": f"Which coat suits {WORDS}?"}))
        while json.loads(socket.recv(timeout=60))["type"] not in ("done", "error"):
            pass


_tokens: list[str] = []


def _refused(answer: httpx.Response) -> httpx.Response:
    assert 400 <= answer.status_code < 500, answer.text
    return answer


def _written(home: Path) -> Iterator[Path]:
    for file in sorted(home.rglob("*")):
        if file.is_file() and file.relative_to(home).parts[0] not in _KEEP_IT:
            yield file


def _planted(content: bytes) -> list[str]:
    return [secret for secret in (PASSWORD, TOKEN, WORDS, *_tokens) if secret.encode() in content]
