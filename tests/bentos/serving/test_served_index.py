"""Runners look which release of the index is served before each search, and answer from the old one if they cannot."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image

from aura.errors import IndexNotReadyError
from aura.taxonomy import Category
from bentos.conversational_ai.messages import FoundPassages, RetrieveRequest
from bentos.conversational_ai.model import ChatRunner
from bentos.serving.assets import ServedIndex
from bentos.serving.messages import RgbImage
from bentos.visual_analysis.messages import AnalyzeRequest, FoundGarments
from bentos.visual_analysis.model import DetectorRunner
from inference.detection.detector import Detection
from tests.bentos.stub_assets import StubAssets


class Index:
    """Stand-in that records its calls."""

    fell_back = False

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
        return [
            SimpleNamespace(slug="a", title="A", heading="A", text=query, relevance=float(self.version), similarity=0.5)
        ] * k

    def similar_items(self, image: Image.Image, k: int, category: str) -> list[Any]:
        self.did.append("search")
        return [SimpleNamespace(item_id="i", title="I", category=category, relevance=float(self.version))] * k


class OneGarment:
    """Stand-in for the detector."""

    rules = SimpleNamespace(labels=[Category.TOPS], thresholds=[0.5])

    def predict(self, images: list[Image.Image], threshold: float) -> list[list[Detection]]:
        return [[Detection(Category.TOPS, 0.9, (1.0, 1.0, 5.0, 5.0))] for _ in images]


def search(index: Index, runner: str, *, follow: bool = True) -> float:
    """Ask a runner that has the index; the relevance tells which version answered."""
    assets: Any = StubAssets(served_index=ServedIndex(index, follow=follow))
    if runner == "conversational_ai":
        found = ChatRunner.inner(assets, lambda *_: None).retrieve(RetrieveRequest(query="Which shoes?", k=1))
        assert isinstance(found, FoundPassages)
        assert found.index_version == str(index.version)
        return float(found.passages[0].score)
    photo = RgbImage.of(Image.new("RGB", (9, 9)))
    detector = DetectorRunner.inner(assets, lambda *_: OneGarment())
    [analyzed] = detector.analyze([AnalyzeRequest(photo=photo, threshold=None, similar=1)])
    assert isinstance(analyzed, FoundGarments)
    return float(analyzed.garments[0].similar[0].similarity)


both = pytest.mark.parametrize("runner", ["conversational_ai", "visual_analysis"])


@both
def test_a_search_is_answered_from_the_release_that_is_served_now(runner: str) -> None:
    index = Index(None)
    assert search(index, runner) == 2.0
    assert index.did == ["refresh", "search"]


@both
@pytest.mark.parametrize("failure", [IndexNotReadyError("gone"), RuntimeError("lance error: IO"), OSError("no disk")])
def test_what_is_held_answers_when_it_cannot_be_followed(
    runner: str, failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    assert search(Index(failure), runner) == 1.0
    assert "staying with release 1" in caplog.text
    assert str(failure) in caplog.text


def test_an_index_that_cannot_be_followed_degrades_the_service_until_it_can() -> None:
    index: Any = Index(OSError("no disk"))
    served = ServedIndex(index, follow=True)
    assert served.degraded == []
    served.current()
    assert served.degraded == ["searches stay at index release 1: a newer one cannot be opened"]
    index._failure = None
    served.current()
    assert served.degraded == []


@both
def test_a_pinned_index_is_not_followed(runner: str) -> None:
    index = Index(None)
    assert search(index, runner, follow=False) == 1.0
    assert index.did == ["search"]
