"""Ask a running service something real and check that the answer has the shape and substance it must have."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from typing import Any

import httpx
from PIL import Image, ImageDraw
from websockets.sync.client import connect

from aura.errors import ServiceError

_TIMEOUT_SECONDS = 120
_QUESTION = "Which shoes go with a navy suit?"


def ask(service: str, url: str) -> str:
    """One line about what the service answered.

    Raises:
        ServiceError: an answer was an error, or not what it must be.
    """
    with httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS) as client:
        return _ASK[service](client, url)


def drawn_photo() -> bytes:
    """A JPEG with a dark top and light trousers on a plain background."""
    photo = Image.new("RGB", (240, 360), "#dedad2")
    pen = ImageDraw.Draw(photo)
    pen.rectangle((80, 60, 160, 170), fill="#22324f")
    pen.polygon([(84, 172), (156, 172), (164, 320), (126, 320), (120, 200), (114, 320), (76, 320)], fill="#c9b48f")
    buffer = io.BytesIO()
    photo.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _visual_analysis(client: httpx.Client, _url: str) -> str:
    files = {"image": ("photo.jpg", drawn_photo(), "image/jpeg")}
    answer = _ok(client.post("/analyze", files=files, params={"threshold": 0.05, "similar": 1}))
    if (answer["width"], answer["height"]) != (240, 360):
        raise ServiceError(f"analyze answered another photo's size: {answer}")
    return f"{len(answer['garments'])} garments above 0.05"


def _outfit_recommendation(client: httpx.Client, _url: str) -> str:
    picture = base64.b64encode(drawn_photo()).decode()
    items = [
        {"category": "tops", "title": "Navy cotton shirt", "image_base64": picture},
        {"category": "bottoms", "title": "Beige chinos"},
    ]
    score = _ok(client.post("/evaluate", json={"items": items}))["score"]
    found = _ok(client.post("/recommend", json={"items": items, "targets": ["shoes"], "k": 3}))["targets"]["shoes"]
    if not 0 <= score <= 1 or not found:
        raise ServiceError(f"evaluate answered {score}, recommend {found}")
    return f"score {score:.2f}, shoes: {found[0]['title']}"


def _conversational_ai(client: httpx.Client, url: str) -> str:
    passages = _ok(client.post("/rag/query", json={"query": _QUESTION, "k": 3}))["passages"]
    chat = {"messages": [{"role": "user", "content": _QUESTION}], "max_new_tokens": 48}
    text = _ok(client.post("/chat", json=chat))["message"]["content"]
    if not passages or not text:
        raise ServiceError(f"rag/query answered {len(passages)} passages, chat answered {text!r}")
    kinds: list[str] = []
    with connect(url.replace("http", "ws", 1) + "/ws/chat", open_timeout=30) as socket:
        socket.send(json.dumps({"content": _QUESTION}))
        while not kinds or kinds[-1] not in ("done", "error"):
            kinds.append(json.loads(socket.recv(timeout=_TIMEOUT_SECONDS))["type"])
    if kinds[0] != "sources" or kinds[-1] != "done" or "token" not in kinds:
        raise ServiceError(f"the WebSocket answered the frames {kinds}")
    return f"{text[:70]!r}"


def _ok(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        raise ServiceError(f"{response.request.url} answered {response.status_code}: {response.text[:500]}")
    answer: dict[str, Any] = response.json()
    return answer


_ASK: dict[str, Callable[[httpx.Client, str], str]] = {
    "visual_analysis": _visual_analysis,
    "outfit_recommendation": _outfit_recommendation,
    "conversational_ai": _conversational_ai,
}
