"""BentoML's server of a runner and its client in one process: how they carry the messages.

The runners are the real ones, with stand-ins for their models.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Generator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import bentoml
import pytest
from _bentoml_impl.client import RemoteProxy
from _bentoml_impl.server.app import ServiceAppFactory
from PIL import Image

from aura.errors import IndexNotReadyError, InvalidRequestError
from aura.taxonomy import Category
from bentos.conversational_ai.messages import (
    ChatMessage,
    Finished,
    FoundPassages,
    GenerateRequest,
    RetrieveRequest,
    Sentence,
    Started,
    StopRequest,
    read_event,
)
from bentos.conversational_ai.model import ChatRunner
from bentos.serving.errors import Failure, raise_failure
from bentos.serving.messages import RgbImage
from bentos.visual_analysis.messages import AnalyzeRequest, FoundGarments
from bentos.visual_analysis.model import DetectorRunner
from inference.chat.answer import DECLINED, AnswerSentence
from inference.chat.answering import AnswerStream
from inference.chat.reply import FinishReason
from inference.detection.detector import Detection
from tests.bentos.stub_assets import StubAssets

PHOTO = RgbImage.of(Image.effect_noise((300, 200), 50).convert("RGB"))
TEXT = "Ça va, 絹とウール\n\u2028 " * 2000  # longer than one chunk of the client, which may end inside a letter


class Detector:
    canvas_px = (64, 64)
    rules = SimpleNamespace(labels=[Category.TOPS], thresholds=[0.5], not_shown=())
    batches: list[list[Image.Image]]

    def __init__(self) -> None:
        self.batches = []

    def predict(self, images: list[Image.Image], threshold: float) -> list[list[Detection]]:
        self.batches.append([*images])
        return [[Detection(Category.TOPS, 1 / 3, (0.1, 0.2, 1 / 3, 9.0))] for _ in images]


class Index:
    version = 7

    def search_knowledge_together(self, queries: list[tuple[str, int]]) -> list[list[Any]]:
        asked = {query for query, _ in queries}
        if "?" in asked:
            raise InvalidRequestError("no words", hint="use some")
        if "bug" in asked:
            raise RuntimeError("secret detail")
        hit = SimpleNamespace(slug="a", title="A", heading="A", text=TEXT, relevance=1 / 3, similarity=-1 / 3)
        return [[hit] * k for _, k in queries]


def two_sentences(*_: Any) -> AnswerStream:
    def sentences() -> Generator[AnswerSentence, None, FinishReason]:
        yield AnswerSentence(TEXT, 0, "quoted")
        yield DECLINED
        return "stop"

    return AnswerStream(sentences(), prompt_tokens=1, dropped_messages=0, used_passages=0)


detector = Detector()
index: Any = Index()
chat_model: Any = SimpleNamespace(answer=two_sentences, token_count=len)


@bentoml.service(name="test_detector", traffic={"timeout": 10})
class StubbedDetectorRunner(DetectorRunner.inner):
    def __init__(self) -> None:
        super().__init__(StubAssets(served_index=IndexNotReadyError("no index yet")), lambda *_: detector)


@bentoml.service(name="test_chat", traffic={"timeout": 10})
class StubbedChatRunner(ChatRunner.inner):
    def __init__(self) -> None:
        super().__init__(StubAssets(served_index=index), lambda *_: chat_model)


@asynccontextmanager
async def client_of(service: Any) -> AsyncIterator[Any]:
    """The client that a service has of its runner."""
    service.inject_config()
    # Without metrics: a process has one registry of them, and there are several services here.
    app = ServiceAppFactory(service, is_main=False, enable_metrics=False)()
    async with app.router.lifespan_context(app):
        proxy = RemoteProxy(
            "http://localhost:3000", service=service, app=app, media_type="application/vnd.bentoml+pickle"
        )
        await proxy.__aenter__()
        try:
            yield proxy.to_async
        finally:
            await proxy.close()


def analyze_request(**changes: Any) -> AnalyzeRequest:
    return AnalyzeRequest(**({"request_id": "abc-1", "photo": PHOTO, "threshold": 0.1, "similar": 0} | changes))


def test_photos_go_in_as_pixels_in_batches_and_answers_come_out_typed() -> None:
    async def scenario() -> list[Any]:
        async with client_of(StubbedDetectorRunner) as runner:
            answers = await asyncio.gather(*(runner.analyze(requests=[analyze_request()] * 3) for _ in range(10)))
            status = await runner.status()
            assert status.model.name == "detection"
            return [answer for batch in answers for answer in batch]

    answers = asyncio.run(scenario())
    assert all(isinstance(answer, FoundGarments) for answer in answers)
    [garment] = answers[0].garments
    assert (garment.score, garment.box, answers[0].model.version) == (1 / 3, (0.1, 0.2, 1 / 3, 9.0), "1")
    assert garment.category is Category.TOPS
    assert sum(map(len, detector.batches)) == 30
    assert {*map(len, detector.batches)} == {3}, "what comes together is detected as one batch"
    assert detector.batches[0][0].tobytes() == PHOTO.rgb


def test_a_failure_in_a_batch_comes_out_as_its_own_class() -> None:
    async def scenario() -> Any:
        async with client_of(StubbedDetectorRunner) as runner:
            [found, failed] = await runner.analyze(requests=[analyze_request(), analyze_request(similar=1)])
            assert isinstance(found, FoundGarments)
            return failed

    with pytest.raises(IndexNotReadyError, match="no index is served yet"):
        raise_failure(asyncio.run(scenario()))


def test_passages_and_failures_of_a_search_come_out_typed() -> None:
    async def scenario() -> None:
        async with client_of(StubbedChatRunner) as runner:
            asked = [RetrieveRequest(query=query, k=2) for query in ("silk", "?", "wool", "bug")]
            found, refused, other, bug = await runner.retrieve(requests=asked)
            for passages in (found, other):
                assert isinstance(passages, FoundPassages)
                assert [passage.text for passage in passages.passages] == [TEXT] * 2
                assert [passage.similarity for passage in passages.passages] == [-1 / 3] * 2
                assert (passages.model.version, passages.index_version) == ("1", "7")
            with pytest.raises(InvalidRequestError) as caught:
                raise_failure(refused)
            assert caught.value.hint == "use some"
            assert isinstance(bug, Failure)
            assert "secret" not in bug.message
            stopped = await runner.stop(request=StopRequest(answer_id="nobody's"))
            assert stopped.was_running is False

    asyncio.run(scenario())


def test_a_stream_comes_out_whole_however_it_is_cut() -> None:
    request = GenerateRequest(
        answer_id="a", messages=[ChatMessage(role="user", content="Silk?")], passages=[], max_new_tokens=9,
        timeout_seconds=60,
    )  # fmt: skip

    async def scenario() -> list[bytes]:
        async with client_of(StubbedChatRunner) as runner:
            return [chunk async for chunk in runner.generate(request=request)]

    chunks = asyncio.run(scenario())
    assert len(chunks) > 3
    events = [read_event(line) for line in b"".join(chunks).split(b"\n") if line]
    assert events[:3] == [
        Started(sources=[], dropped_messages=0), Sentence(text=TEXT, source=0, status="quoted"),
        Sentence(text=DECLINED.text, source=None, status="declined"),
    ]  # fmt: skip
    assert isinstance(events[3], Finished)
    assert (events[3].finish_reason, events[3].declined, events[3].model.name) == ("stop", True, "chat")
