"""Check that a running service answers as its models did when they were trained; see `inference.smoke_test`."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

from aura.heavy_imports import heavy_imports
from flows.service_smoke_test import post
from inference.chat import smoke_test as chat
from inference.chat.passages import ChatPassage, source_of
from inference.detection import smoke_test as detection
from inference.engines.exported import compared_engines
from inference.outfits import smoke_test as outfits
from inference.smoke_test import FOLDER, recorded_answers, refuse_differences


def check_recorded_answers(model: str, url: str, artifact: Path) -> None:
    """Send the inputs of a model's smoke test to its service, and compare the answers with the recorded ones.

    Raises:
        WrongAnswerError: they differ.
        ServiceError: as `flows.service_smoke_test.post`.
    """
    if not (artifact / FOLDER).is_dir():
        # Its hash says that nobody took them away.
        print(f"warning: {artifact} was trained before answers were recorded; only a new training changes that")
        return
    refuse_differences(_COMPARE[model](url, artifact))


def _detection(url: str, artifact: Path) -> list[str]:
    """From what any engine that may serve finds: the service does not say which answers, and may change it between two photos."""
    recorded = [recorded_answers(artifact), *compared_engines(artifact).found.values()]
    differences = []
    for number, name in enumerate(detection.PHOTOS):
        files = {"image": (name, (artifact / FOLDER / name).read_bytes(), "image/png")}
        found = post(f"{url}/analyze", files=files, params={"threshold": detection.LEAST_SCORE})["garments"]
        by_engine = [detection.photo_differences(name, answers[number], found) for answers in recorded]
        fewest = min(by_engine, key=len)
        differences += fewest
    return differences


def _outfits(url: str, artifact: Path) -> list[str]:
    inputs = outfits.read_inputs(artifact)
    items = {
        name: described | {"image_base64": base64.b64encode(outfits.picture_path(artifact, name).read_bytes()).decode()}
        for name, described in inputs["garments"].items()
    }
    answers = [
        post(f"{url}/evaluate", json={"items": [items[name] for name in outfit]}) for outfit in inputs["outfits"]
    ]
    found = {"scores": [answer["score"] for answer in answers]}
    return outfits.SMOKE_TEST.differences(recorded_answers(artifact), found)


def _chat(url: str, artifact: Path) -> list[str]:
    """A service answers from its index, which no recording knows: the artifact answers here, from the passages it names."""
    with heavy_imports():
        from inference.chat.model import ChatModel

    model = ChatModel.load(artifact)
    expected, found = [], []
    for conversation in chat.read_inputs(artifact)["conversations"]:
        messages = [{"role": "user", "content": conversation["question"]}]
        answer = post(f"{url}/chat", json={"messages": messages, "max_new_tokens": chat.NEW_TOKENS})
        passages = [
            ChatPassage(
                source=source_of(source["title"], source["heading"]), text=source["text"],
                similarity=source["similarity"], relevance=source["score"],
            )
            for source in answer["sources"]
        ]  # fmt: skip
        found.append(answer["message"]["content"])
        expected.append(chat.said(model.answer(messages, passages, chat.NEW_TOKENS)))
    return chat.reply_differences(expected, found)


_COMPARE: dict[str, Callable[[str, Path], list[str]]] = {
    "detection": _detection,
    "outfits": _outfits,
    "chat": _chat,
}
