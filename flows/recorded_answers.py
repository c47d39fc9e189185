"""Check that a running service answers as its models did when they were trained; see `inference.smoke_test`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from aura.errors import ServiceError, ServiceUnavailableError
from inference.chat import smoke_test as chat
from inference.detection import smoke_test as detection
from inference.outfits import smoke_test as outfits
from inference.smoke_test import FOLDER, recorded_answers, refuse_differences

_TIMEOUT_SECONDS = 120


def check_recorded_answers(model: str, url: str, artifact: Path) -> None:
    """Send the inputs of a model's smoke test to its service, and compare the answers with the recorded ones.

    Raises:
        WrongAnswerError: they differ.
        ServiceUnavailableError: the service is too busy, or did not answer in time.
        ServiceError: it answered with another error.
    """
    if not (artifact / FOLDER).is_dir():
        # Its hash says that nobody took them away.
        print(f"warning: {artifact} was trained before answers were recorded; only a new training changes that")
        return
    with httpx.Client(base_url=url, timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
        try:
            differences = _COMPARE[model](client, artifact)
        except httpx.HTTPError as error:
            raise ServiceUnavailableError(f"{url} did not answer the smoke test of {model}: {error}") from error
    refuse_differences(differences)


def _detection(client: httpx.Client, artifact: Path) -> list[str]:
    found = []
    for name in detection.PHOTOS:
        files = {"image": (name, (artifact / FOLDER / name).read_bytes(), "image/png")}
        answer = _json(client.post("/analyze", files=files, params={"threshold": detection.LEAST_SCORE}))
        found.append(answer["garments"])
    return detection.SMOKE_TEST.differences(recorded_answers(artifact), found)


def _outfits(client: httpx.Client, artifact: Path) -> list[str]:
    inputs = outfits.read_inputs(artifact)
    items = {
        name: described | {"image_base64": base64.b64encode(outfits.picture_path(artifact, name).read_bytes()).decode()}
        for name, described in inputs["garments"].items()
    }
    answers = [
        _json(client.post("/evaluate", json={"items": [items[name] for name in outfit]}))
        for outfit in inputs["outfits"]
    ]
    found = {"scores": [answer["score"] for answer in answers]}
    return outfits.SMOKE_TEST.differences(recorded_answers(artifact), found)


def _chat(client: httpx.Client, artifact: Path) -> list[str]:
    replies = []
    for conversation in chat.read_inputs(artifact):
        messages = [{"role": "user", "content": conversation["question"]}]
        body = {"messages": messages, "passages": 0, "max_new_tokens": chat.NEW_TOKENS}
        replies.append(_json(client.post("/chat", json=body))["message"]["content"])
    return chat.SMOKE_TEST.differences(recorded_answers(artifact), {"replies": replies})


def _json(response: httpx.Response) -> dict[str, Any]:
    if response.is_error:
        busy = response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        kind = ServiceUnavailableError if busy else ServiceError
        raise kind(f"{response.request.url} answered {response.status_code}: {response.text[:500]}")
    answer: dict[str, Any] = response.json()
    return answer


_COMPARE: dict[str, Callable[[httpx.Client, Path], list[str]]] = {
    "detection": _detection,
    "outfits": _outfits,
    "chat": _chat,
}
