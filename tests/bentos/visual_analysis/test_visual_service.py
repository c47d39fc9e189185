"""The visual analysis service over HTTP and its runner, with stand-ins for the detector and the index."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from _bentoml_sdk.service import set_current_service
from bentoml.exceptions import ServiceUnavailable
from fastapi.testclient import TestClient
from PIL import Image

from aura.errors import IndexNotReadyError
from aura.paths import repo_root
from aura.taxonomy import Category
from aura.training_sources import DRAWN_ONLY, Source, TrainingSources
from bentos.serving.messages import ReleaseVersions, RgbImage
from bentos.visual_analysis.messages import AnalyzeRequest, RunnerStatus
from bentos.visual_analysis.model import DetectorRunner
from bentos.visual_analysis.service import MAX_PHOTOS, VisualAnalysis, app
from inference.detection.artifact import NEVER_SHOWN, LabelRules
from inference.detection.detector import Detection
from tests.bentos.stub_assets import RELEASE as FIRST
from tests.bentos.stub_assets import StubAssets, made_by
from tests.pictures import as_bytes

PHOTO = Image.effect_noise((30, 20), 50).convert("RGB")
LARGE = ("a.jpg", as_bytes(Image.new("RGB", (6000, 4000)), "JPEG"))
MODEL = {"name": "detection", "version": "1"}
RELEASE = made_by("detection").model_dump()


class Detector:
    """Finds the same two garments in every photo."""

    rules = LabelRules(labels=(Category.TOPS, Category.SHOES), thresholds=(0.5, 0.9), nms_iou=None)
    canvas_px = (64, 96)

    def __init__(self) -> None:
        self.batches: list[list[Image.Image]] = []

    def predict(self, images: list[Image.Image], threshold: float) -> list[list[Detection]]:
        self.batches.append([*images])
        found = [
            Detection(Category.TOPS, 0.8, (1.0, 2.0, 11.0, 12.0)),
            Detection(Category.SHOES, 0.6, (3.0, 3.0, 3.2, 3.2)),
        ]
        return [[detection for detection in found if detection.score >= threshold] for _ in images]


class Index:
    """Stand-in whose items are the crops that it was shown."""

    version = 1
    is_remote = False

    def __init__(self) -> None:
        self.crops: list[Image.Image] = []

    def similar_items(self, image: Image.Image, k: int, category: Category) -> list[Any]:
        self.crops.append(image)
        return [SimpleNamespace(item_id="i", title="I", category=category, relevance=0.5)] * k


class Client:
    """What BentoML's client of the runner offers."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self.requests: list[AnalyzeRequest] = []
        self.full = False

    async def analyze(self, requests: list[AnalyzeRequest]) -> Any:
        if self.full:
            raise ServiceUnavailable("process is overloaded")  # what BentoML's client makes of a status 503
        self.requests += requests
        return self._runner.analyze(requests)

    async def status(self) -> RunnerStatus:
        if self.requests:  # on its way out it answers what it has begun, and takes no more calls
            raise aiohttp.ServerDisconnectedError
        status: RunnerStatus = await self._runner.status()
        return status


class Slow(Client):
    """Answers when it is let."""

    def __init__(self, runner: Any) -> None:
        super().__init__(runner)
        self.asked, self.may_answer = asyncio.Event(), asyncio.Event()

    async def status(self) -> RunnerStatus:
        status: RunnerStatus = await self._runner.status()
        return status

    async def analyze(self, requests: list[AnalyzeRequest]) -> Any:
        self.asked.set()
        await self.may_answer.wait()
        return await super().analyze(requests)


@pytest.fixture
def detector() -> Detector:
    return Detector()


@pytest.fixture
def index() -> Index:
    return Index()


def runner_with(detector: Detector, index: Any) -> Any:
    return DetectorRunner.inner(StubAssets(served_index=index), lambda *_: detector)


@pytest.fixture
def runner_client(detector: Detector, index: Index) -> Client:
    return Client(runner_with(detector, index))


@pytest.fixture
def client(runner_client: Client) -> Iterator[TestClient]:
    set_current_service(VisualAnalysis.inner(StubAssets(), runner_client))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
    set_current_service(None)


def analyze(client: TestClient, **params: Any) -> Any:
    file = io.BytesIO()
    PHOTO.save(file, "PNG")
    return client.post(
        "/analyze", files={"image": ("a.png", file.getvalue())}, params=params, headers={"x-request-id": "abc-1"}
    )


def test_the_answer_has_garments_size_and_version(client: TestClient) -> None:
    shirt = {"category": "tops", "score": 0.8, "box": [1, 2, 11, 12], "similar": [], "colours": []}
    shoes = {"category": "shoes", "score": 0.6, "box": [3, 3, 3.2, 3.2], "similar": [], "colours": []}
    answer = {
        "width": 30, "height": 20, "garments": [shirt], "model": MODEL, "release": RELEASE, "notice": None,
        "annotated_jpeg": None,
    }  # fmt: skip
    assert analyze(client).json() == answer
    assert analyze(client, threshold=0.6).json() == answer | {"garments": [shirt, shoes]}
    assert analyze(client, threshold=0.9).json() == answer | {"garments": []}


def test_an_option_that_is_misspelt_is_not_passed_over(client: TestClient) -> None:
    answer = analyze(client, annotated=True)
    assert answer.status_code == 422
    assert "annotated" in str(answer.json()["error"])


def test_a_model_of_drawn_pictures_says_so_in_every_answer(tmp_path: Path) -> None:
    TrainingSources(sources=(Source(name="sample", drawn=True),)).write(tmp_path)
    runner = DetectorRunner.inner(StubAssets(champion_folder=tmp_path, served_index=Index()), lambda *_: Detector())
    set_current_service(VisualAnalysis.inner(StubAssets(), Client(runner)))
    with TestClient(app) as client:
        assert analyze(client).json()["notice"] == DRAWN_ONLY
        described = client.get("/openapi.json").json()["components"]["schemas"]["Analysis"]
        assert "drawn pictures only" in described["properties"]["notice"]["description"]
        assert "notice" in described["required"]
    set_current_service(None)


def test_what_is_found_badly_is_shown_only_on_request_and_the_answer_says_so() -> None:
    detector = Detector()
    detector.rules = LabelRules(labels=(Category.TOPS, Category.SHOES), thresholds=(0.5, NEVER_SHOWN), nms_iou=None)
    runner = DetectorRunner.inner(StubAssets(served_index=Index()), lambda *_: detector)
    set_current_service(VisualAnalysis.inner(StubAssets(), Client(runner)))
    with TestClient(app) as client:
        answer = analyze(client).json()
        assert [garment["category"] for garment in answer["garments"]] == ["tops"]
        assert answer["notice"].endswith("are right: shoes.")
        assert len(analyze(client, threshold=0.5).json()["garments"]) == 2
    set_current_service(None)


def test_a_photo_crosses_the_door_once_and_decoded(
    client: TestClient, runner_client: Client, detector: Detector, index: Index
) -> None:
    garments = analyze(client, threshold=0.05, similar=2).json()["garments"]
    hit = {"item_id": "i", "title": "I", "similarity": 0.5}
    assert [garment["similar"] for garment in garments] == [
        [hit | {"category": name}] * 2 for name in ("tops", "shoes")
    ]
    [request] = runner_client.requests
    assert request.photo.image().tobytes() == PHOTO.tobytes()
    assert request.request_id == "abc-1"
    assert len(detector.batches) == 1
    assert [crop.size for crop in index.crops] == [(10, 10), (1, 1)], "a box of less than a pixel is looked up too"


@pytest.mark.parametrize(("similar", "size"), [(0, (64, 43)), (1, (2048, 1365))])
def test_the_detector_gets_its_canvas_and_the_caller_the_boxes_of_the_photo(
    client: TestClient, detector: Detector, similar: int, size: tuple[int, int]
) -> None:
    answer = client.post("/analyze", files={"image": LARGE}, params={"similar": similar}).json()
    [[seen]] = detector.batches
    assert seen.size == size, "larger where garments are cut out"
    assert (answer["width"], answer["height"]) == (6000, 4000)
    # The stand-in finds a box at 1, 2, 11, 12 of the pixels that it gets.
    scale = 6000 / size[0], 4000 / size[1]
    assert answer["garments"][0]["box"] == pytest.approx([1 * scale[0], 2 * scale[1], 11 * scale[0], 12 * scale[1]])


def test_another_detector_gets_what_its_own_canvas_needs(client: TestClient, detector: Detector) -> None:
    def widths() -> list[int]:
        asked.append(len(asked))
        detector.batches.clear()
        # Not the same file again: its answer is kept.
        assert client.post("/analyze", files={"image": ("a.jpg", LARGE[1] + bytes(asked))}).status_code == 200
        return [photo.width for [photo] in detector.batches]

    asked: list[int] = []
    assert widths() == [64]
    detector.canvas_px = (128, 192)  # a release has come
    assert widths() == [64, 128], "once more, with the pixels that it sees"
    assert widths() == [128]


def test_photos_of_several_callers_are_detected_together(detector: Detector, index: Index) -> None:
    """The runner is busy with the first one meanwhile."""

    async def ask() -> None:
        busy = Slow(runner_with(detector, index))
        service = VisualAnalysis.inner(StubAssets(), busy)
        content = as_bytes(PHOTO, "JPEG")
        first = asyncio.create_task(service._analysed(content, None, 0))
        await busy.asked.wait()
        others = [asyncio.create_task(service._analysed(content, None, 0)) for _ in range(10)]
        while len(service._batcher) < len(others):
            await asyncio.sleep(0.001)
        busy.may_answer.set()
        await asyncio.gather(first, *others)
        service.end_decoders()

    asyncio.run(ask())
    assert [len(batch) for batch in detector.batches] == [1, MAX_PHOTOS, MAX_PHOTOS, 10 - 2 * MAX_PHOTOS]


def test_a_finished_answer_needs_no_second_call(client: TestClient) -> None:
    ready = {"state": "ready", "reasons": [], "profile": "sample", "model": MODEL, "release": RELEASE}
    health = client.get("/health")
    assert (health.json(), health.headers["x-aura-release"]) == (ready, "1;detection=1;index=1")
    assert analyze(client, similar=1).json()["model"] == MODEL
    assert client.get("/health").status_code == 503


def test_photos_are_detected_as_one_batch_and_fail_alone(
    detector: Detector, logged: Callable[[], list[tuple[str | None, str]]]
) -> None:
    runner = runner_with(detector, IndexNotReadyError("no index yet"))
    photo = RgbImage.of(PHOTO)
    requests = [
        AnalyzeRequest(request_id=f"abc-{similar}", photo=photo, threshold=None, similar=similar) for similar in (0, 1)
    ]
    plain, failed = runner.analyze(requests)
    assert len(plain.garments) == 1
    assert failed.code == "index_not_ready"
    assert [len(batch) for batch in detector.batches] == [2]
    assert ("abc-1", "index_not_ready: no index is served yet") in logged()
    assert ("abc-0", "AnalyzeRequest answered") in logged()


def test_an_index_that_comes_later_comes_with_a_release(detector: Detector, index: Any) -> None:
    assets = StubAssets(serves=replace(FIRST, index=None))
    runner = DetectorRunner.inner(assets, lambda *_: detector)
    request = AnalyzeRequest(photo=RgbImage.of(PHOTO), threshold=None, similar=1)
    assert runner.analyze([request])[0].code == "index_not_ready"
    assert asyncio.run(runner.status()).degraded == [
        "photos are analysed without similar items: no index is served yet"
    ]
    assets.serves, assets.served_index = replace(FIRST, number=2), index
    runner._served.look()
    [answer] = runner.analyze([request])
    assert len(answer.garments[0].similar) == 1
    assert answer.release == ReleaseVersions(id="2", versions={"detection": "1", "index": "1"})
    assert asyncio.run(runner.status()).degraded == []


def test_a_service_without_its_index_is_degraded_and_says_why(detector: Detector) -> None:
    runner = Client(runner_with(detector, IndexNotReadyError("no index yet")))
    set_current_service(VisualAnalysis.inner(StubAssets(), runner))
    with TestClient(app) as client:
        health = client.get("/health")
    set_current_service(None)
    assert (health.status_code, health.json()["state"]) == (200, "degraded")
    assert "no index" in health.json()["reasons"][0]


def test_a_full_queue_is_busy_for_a_while(client: TestClient, runner_client: Client) -> None:
    runner_client.full = True
    refused = analyze(client)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
    assert refused.headers["retry-after"]


def test_a_service_loads_what_measures_colours_when_it_is_first_asked_for_them() -> None:
    measuring = {"skimage.color.colorconv", "scipy.cluster"}
    code = f"import sys, bentos.visual_analysis.service; print(sorted({measuring!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=repo_root(), capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
