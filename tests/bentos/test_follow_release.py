"""Services look which release of the index is served before each search, and answer from the old one if they cannot."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

import bentos.serving.index
from aura.errors import IndexNotReadyError
from bentos.conversational_ai.model import Conversationalist
from bentos.serving.places import places
from bentos.visual_analysis.service import DetectorModel


class Index:
    """Stand-in that notes what it is asked to do."""

    def __init__(self, failure: Exception | None) -> None:
        self.version = 1
        self.did: list[str] = []
        self._failure = failure

    def refresh(self) -> bool:
        self.did.append("refresh")
        if self._failure:
            raise self._failure
        self.version += 1
        return True

    def search_knowledge(self, query: str, k: int) -> list[Any]:
        self.did.append("search")
        return [SimpleNamespace(slug="a", title="A", heading="A", text=query, relevance=float(self.version))] * k

    def similar_items(self, image: Image.Image, k: int, category: str) -> list[Any]:
        self.did.append("search")
        return [SimpleNamespace(item_id="i", title="I", category=category, relevance=float(self.version))] * k


def search(index: Index, model_part: str) -> float:
    """Ask a model part that holds the index; the relevance tells which version answered."""
    if model_part == "conversational_ai":
        talk: Any = Conversationalist.inner.__new__(Conversationalist.inner)
        talk._index = index
        [passage] = talk.retrieve(query="Which shoes?", k=1)["passages"]
        return float(passage["score"])
    vision: Any = DetectorModel.inner.__new__(DetectorModel.inner)
    vision._index = index
    photo = io.BytesIO()
    Image.new("RGB", (9, 9)).save(photo, "PNG")
    [[hit]] = vision.similar(image=photo.getvalue(), boxes=[{"category": "tops", "box": [1, 1, 5, 5]}], k=1)["items"]
    return float(hit["similarity"])


both = pytest.mark.parametrize("model_part", ["conversational_ai", "visual_analysis"])


@both
def test_a_search_is_answered_from_the_release_that_is_served_now(model_part: str) -> None:
    index = Index(None)
    assert search(index, model_part) == 2.0
    assert index.did == ["refresh", "search"]


@both
@pytest.mark.parametrize("failure", [IndexNotReadyError("gone"), RuntimeError("lance error: IO"), OSError("no disk")])
def test_what_is_held_answers_when_it_cannot_be_followed(
    model_part: str, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert search(Index(failure), model_part) == 1.0
    assert "staying with release 1" in caplog.text
    assert str(failure) in caplog.text


@both
def test_a_pinned_index_is_not_followed(model_part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bentos.serving.index, "places", lambda: replace(places(), pinned=Path("pinned")))
    index = Index(None)
    assert search(index, model_part) == 1.0
    assert index.did == ["search"]
