"""Several photos in one request, colours of garments, and the photo with its boxes: over HTTP, with a stand-in detector."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from _bentoml_sdk.service import set_current_service
from fastapi.testclient import TestClient
from PIL import Image

from aura.taxonomy import Category
from bentos.visual_analysis.annotated import SIDE_PX, annotated_jpeg
from bentos.visual_analysis.messages import Garment
from bentos.visual_analysis.model import DetectorRunner
from bentos.visual_analysis.service import MAX_UPLOADS, VisualAnalysis, app
from inference.category_colours import CATEGORY_COLOURS
from tests.bentos.stub_assets import StubAssets
from tests.bentos.visual_analysis.test_visual_service import Detector
from tests.pictures import as_bytes


class Client:
    """What BentoML's client of the runner offers."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner

    async def analyze(self, requests: list[Any]) -> Any:
        return self._runner.analyze(requests)

    async def status(self) -> Any:
        return await self._runner.status()


@pytest.fixture
def client() -> Iterator[TestClient]:
    runner = DetectorRunner.inner(StubAssets(), lambda *_: Detector())
    set_current_service(VisualAnalysis.inner(StubAssets(), Client(runner)))
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
    set_current_service(None)


def photo(colour: str, width: int = 30, height: int = 20) -> bytes:
    return as_bytes(Image.new("RGB", (width, height), colour), "PNG")


def send(client: TestClient, *files: bytes, field: str = "photos", **params: Any) -> Any:
    named = [(field, (f"{number}.png", content)) for number, content in enumerate(files)]
    return client.post("/analyze/photos", files=named, params=params)


def test_each_of_several_photos_has_its_answer_and_a_broken_one_says_what_is_wrong(client: TestClient) -> None:
    answer = send(client, photo("navy"), b"no picture", photo("red", 60), b"", colours=True)
    assert answer.status_code == 200, answer.text
    first, broken, third, empty = answer.json()["photos"]
    assert [part["file_name"] for part in (first, broken, third, empty)] == ["0.png", "1.png", "2.png", "3.png"]
    assert [part["analysis"]["width"] for part in (first, third)] == [30, 60]
    names = [part["analysis"]["garments"][0]["colours"][0]["name"] for part in (first, third)]
    assert names == ["navy", "red"], "each photo has its own answer"
    assert first["error"] is None
    for part in (broken, empty):
        assert part["analysis"] is None
        assert part["error"].keys() == {"code", "message", "hint", "request_id"}
        assert (part["error"]["code"], part["error"]["request_id"]) == (
            "invalid_request",
            answer.headers["x-request-id"],
        )
    assert "not a readable" in broken["error"]["message"]
    assert "is empty" in empty["error"]["message"]


def test_what_the_service_lacks_is_no_fault_of_a_photo(client: TestClient) -> None:
    refused = send(client, photo("navy"), photo("red"), similar=1)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "index_not_ready")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([("image", ("a.png", photo("navy")))], "no file of this name; its fields: image"),
        ([("photos", ("a.png", photo("navy")))] * (MAX_UPLOADS + 1), f"send {MAX_UPLOADS} per request"),
    ],
)
def test_a_form_without_photos_or_with_too_many_is_refused(client: TestClient, files: Any, says: str) -> None:
    refused = client.post("/analyze/photos", files=files)
    assert refused.status_code == 422
    assert says in refused.json()["error"]["message"]


def test_one_photo_sent_as_before_is_answered_as_before(client: TestClient) -> None:
    answer = client.post("/analyze", files={"image": ("a.png", photo("navy"))}).json()
    assert (answer["width"], [garment["category"] for garment in answer["garments"]]) == (30, ["tops"])
    assert (answer["annotated_jpeg"], answer["garments"][0]["colours"]) == (None, [])


def test_colours_have_names_values_and_shares(client: TestClient) -> None:
    striped = Image.new("RGB", (300, 200), "#1b2440")
    striped.paste("#e4e5e8", (60, 70, 100, 90))
    files = {"image": ("a.png", as_bytes(striped, "PNG"))}
    # The stand-in's box covers a tenth of the canvas, from its upper left: all navy.
    [garment] = client.post("/analyze", files=files, params={"colours": True}).json()["garments"]
    assert garment["colours"] == [{"name": "navy", "hex": "#1b2440", "share": 1.0}]


def test_the_annotated_picture_shows_the_boxes_that_the_answer_names(client: TestClient) -> None:
    files = {"image": ("a.png", photo("white", 300, 200))}
    answer = client.post("/analyze", files=files, params={"annotate": True}).json()
    picture = Image.open(io.BytesIO(base64.b64decode(answer["annotated_jpeg"])))
    assert (picture.format, picture.size) == ("JPEG", (300, 200))
    assert np.asarray(picture).min() < 128, "something is drawn"
    asked = client.post("/analyze", files=files, headers={"accept": "image/jpeg"})
    assert asked.headers["content-type"] == "image/jpeg"
    assert asked.content == base64.b64decode(answer["annotated_jpeg"])


@pytest.mark.parametrize("size", [(200, 300), (3000, 2000)])
def test_a_box_is_drawn_where_it_is_in_the_colour_of_its_category(size: tuple[int, int]) -> None:
    width, height = size
    box = (0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height)
    garment = Garment(category=Category.SHOES, score=0.9, box=box)
    content = annotated_jpeg(Image.new("RGB", size, "white"), [garment])
    drawn = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert max(drawn.shape) == min(max(size), SIDE_PX)
    colour = np.array([int(CATEGORY_COLOURS[Category.SHOES][place : place + 2], 16) for place in (1, 3, 5)])
    coloured = np.abs(drawn - colour).sum(2) < 90
    rows, columns = np.nonzero(coloured)
    across, down = columns / drawn.shape[1], rows / drawn.shape[0]
    assert (across.min(), down.min(), down.max()) == pytest.approx((0.25, 0.25, 0.75), abs=0.02)
    assert not coloured[: drawn.shape[0] // 5].any()


def test_names_stay_inside_of_the_picture() -> None:
    garments = [Garment(category=Category.SUNGLASSES, score=0.5, box=(95, 140 - n, 100, 149)) for n in range(3)]
    drawn = Image.open(io.BytesIO(annotated_jpeg(Image.new("RGB", (100, 150), "white"), garments)))
    colour = CATEGORY_COLOURS[Category.SUNGLASSES]
    blue = int(colour[5:], 16)
    assert (np.abs(np.asarray(drawn.convert("RGB")).astype(int)[..., 2] - blue) < 40).sum() > 200, (
        "its name is readable"
    )
