"""Smoke test of each service: a real request to every endpoint, whose answer must have the right shape and substance.

Each takes the URL of a running service, returns one line about what it answered, and raises a ServiceError when an answer is
an error or not what it must be. `flows.services` names them, and every command reads that table: the libraries of a test are
imported when it runs.
"""

from __future__ import annotations

import base64
import io
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any

from aura.errors import ServiceError, ServiceUnavailableError
from aura.taxonomy import Category

_TIMEOUT_SECONDS = 120
_QUESTION = "Which shoes go with a navy suit?"


_token: ContextVar[str] = ContextVar("token", default="")


@contextmanager
def signed_in(token: str) -> Iterator[None]:
    """Hold while services are tested that ask who calls; without a token, those that do not."""
    before = _token.set(token)
    try:
        yield
    finally:
        _token.reset(before)


def _authorization() -> dict[str, str]:
    return {"authorization": f"Bearer {_token.get()}"} if _token.get() else {}


def drawn_photo() -> bytes:
    """A JPEG with a dark top and light trousers on a plain background."""
    from PIL import Image, ImageDraw

    photo = Image.new("RGB", (240, 360), "#dedad2")
    pen = ImageDraw.Draw(photo)
    pen.rectangle((80, 60, 160, 170), fill="#22324f")
    pen.polygon([(84, 172), (156, 172), (164, 320), (126, 320), (120, 200), (114, 320), (76, 320)], fill="#c9b48f")
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def visual_analysis(url: str) -> str:
    files = {"image": ("photo.jpg", drawn_photo(), "image/jpeg")}
    answer = post(f"{url}/analyze", files=files, params={"threshold": 0.05, "similar": 1})
    if (answer["width"], answer["height"]) != (240, 360):
        raise ServiceError(f"analyze answered another photo's size: {answer}")
    return f"{len(answer['garments'])} garments above 0.05"


def outfit_recommendation(url: str) -> str:
    image = base64.b64encode(drawn_photo()).decode()
    items = [
        {"category": "tops", "title": "Navy cotton shirt", "image_base64": image},
        {"category": "bottoms", "title": "Beige chinos"},
    ]
    score = post(f"{url}/evaluate", json={"items": items})["score"]
    # Of every category: a catalog of one's own may have no shoes.
    targets = post(f"{url}/recommend", json={"items": items, "targets": list(Category), "k": 3})["targets"]
    found = [f"{category}: {hits[0]['title']}" for category, hits in targets.items() if hits]
    if not 0 <= score <= 1 or not found:
        raise ServiceError(f"evaluate answered {score}, recommend {targets}")
    return f"score {score:.2f}, {found[0]}"


def conversational_ai(url: str) -> str:
    from websockets.sync.client import connect

    passages = post(f"{url}/rag/query", json={"query": _QUESTION, "k": 3})["passages"]
    chat = {"messages": [{"role": "user", "content": _QUESTION}], "max_new_tokens": 48}
    text = post(f"{url}/chat", json=chat)["message"]["content"]
    if not passages or not text:
        raise ServiceError(f"rag/query answered {len(passages)} passages, chat answered {text!r}")
    kinds: list[str] = []
    with connect(
        url.replace("http", "ws", 1) + "/ws/chat", open_timeout=30, proxy=None, additional_headers=_authorization()
    ) as socket:
        socket.send(json.dumps({"content": _QUESTION}))
        while not kinds or kinds[-1] not in ("done", "error"):
            kinds.append(json.loads(socket.recv(timeout=_TIMEOUT_SECONDS))["type"])
    if kinds[0] != "sources" or kinds[-1] != "done" or "token" not in kinds:
        raise ServiceError(f"the WebSocket answered the frames {kinds}")
    return f"{text[:70]!r}"


def accounts(url: str) -> str:
    """Makes an account, and deletes it: the database is the test's own."""
    email, password = f"{secrets.token_hex(8)}@example.org", secrets.token_urlsafe(16)
    post(f"{url}/register", json={"email": email, "password": password})
    first = post(f"{url}/token", data={"username": email, "password": password})
    second = post(f"{url}/refresh", json={"refresh_token": first["refresh_token"]})
    signed_in = {"authorization": f"Bearer {second['access_token']}"}
    gone = post(f"{url}/deletion", json={"password": password}, headers=signed_in)
    if second["refresh_token"] == first["refresh_token"] or "account" not in gone["removed"]:
        raise ServiceError(f"deletion answered {gone}")
    return "an account was made, signed in to and deleted"


def post(url: str, **request: Any) -> dict[str, Any]:
    """JSON that one of our services answers to a POST; a proxy of the environment is not for them.

    Raises:
        ServiceUnavailableError: the service is too busy, or did not answer in time.
        ServiceError: it answered with another error.
    """
    import httpx

    try:
        headers = _authorization() | request.pop("headers", {})
        response = httpx.post(url, headers=headers, timeout=_TIMEOUT_SECONDS, trust_env=False, **request)
    except httpx.HTTPError as error:
        raise ServiceUnavailableError(f"{url} did not answer: {error}") from error
    if response.is_error:
        busy = response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        kind = ServiceUnavailableError if busy else ServiceError
        raise kind(f"{response.request.url} answered {response.status_code}: {response.text[:500]}")
    answer: dict[str, Any] = response.json()
    return answer
