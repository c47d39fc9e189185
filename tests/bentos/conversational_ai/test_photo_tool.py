"""The detector as a tool of the chat: the real visual service with a stand-in for its model, asked about a photo that is sent."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image

from bentos.conversational_ai.photo_tool import PhotoTool
from bentos.serving.app import apply_settings
from bentos.serving.auth import AuthRules
from bentos.serving.settings import ServingSettings
from bentos.serving.tokens import Caller
from bentos.visual_analysis.model import DetectorRunner
from bentos.visual_analysis.service import VisualAnalysis
from bentos.visual_analysis.service import app as visual_app
from tests.bentos.conversational_ai.stub_runner import Runner, frames, user
from tests.bentos.conversational_ai.test_outfit_tool import answering, outfits
from tests.bentos.conversational_ai.test_stored_chats import TOKENS, Chat
from tests.bentos.in_process import InProcess
from tests.bentos.people import person
from tests.bentos.stub_assets import StubAssets
from tests.bentos.visual_analysis.test_photo_options import Client
from tests.bentos.visual_analysis.test_visual_service import Detector
from tests.pictures import as_bytes

__all__ = ["outfits"]
PHOTO = base64.b64encode(as_bytes(Image.new("RGB", (30, 20), "navy"), "PNG")).decode()
SHOWN = ["Navy top"]


@pytest.fixture
def photos() -> Iterator[InProcess]:
    runner = DetectorRunner.inner(StubAssets(), lambda *_: Detector())
    service = InProcess(VisualAnalysis.inner(StubAssets(), Client(runner)), visual_app)
    apply_settings(visual_app, ServingSettings(), AuthRules(required=True, keys=TOKENS))
    yield service
    visual_app.state.auth = None


@pytest.fixture
def chat(database_url: str, outfits: InProcess, photos: InProcess) -> Iterator[Chat]:
    with answering(Runner(), database_url, outfits, required=True, photos=photos) as chat:
        yield chat


@pytest.fixture
def ada(database_url: str) -> Caller:
    return person(database_url, "ada@example.org")


def titles(garments: list[dict[str, Any]]) -> list[str]:
    return [garment["title"] for garment in garments]


def test_what_the_detector_finds_is_what_this_means(
    chat: Chat, photos: InProcess, outfits: InProcess, ada: Caller
) -> None:
    answer = chat.ask(ada, "What can I wear with this?", photo_base64=PHOTO).json()
    seen, worn = answer["tools"]
    assert (seen["name"], seen["arguments"], titles(seen["garments"])) == ("analyze", {"colours": True}, SHOWN)
    assert (worn["name"], titles(worn["asked_about"])) == ("outfits", SHOWN)
    assert answer["sentences"][0]["text"].startswith("With Navy top, wear ")
    assert photos.calls[0].headers["authorization"] == outfits.calls[0].headers["authorization"], "in her name"
    assert PHOTO[:40] not in str(answer)
    assert chat.stored(ada, answer["conversation"])[0] == user("What can I wear with this?")


def test_a_question_that_asks_for_no_outfit_is_told_what_the_photo_shows(chat: Chat, ada: Caller) -> None:
    with chat.socket(ada) as socket:
        socket.send_json({"content": "Is this fit for a wedding?", "photo_base64": PHOTO})
        sources, first, *_ = frames(socket)
    assert [use["name"] for use in sources["tools"]] == ["analyze"]
    assert (first["text"], first["status"]) == ("In the photo: navy top.", "tool")


@pytest.mark.parametrize(("content", "says"), [("!", "is not base64"), ("aGFsbG8=", "photo_base64: ")])
def test_what_is_no_photo_is_refused_over_both_ways(chat: Chat, ada: Caller, content: str, says: str) -> None:
    refused = chat.ask(ada, "What is this?", photo_base64=content)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")
    assert says in refused.json()["error"]["message"]
    with chat.socket(ada) as socket:
        socket.send_json({"content": "What is this?", "photo_base64": content})
        assert says in frames(socket)[-1]["error"]["message"]


def test_a_detector_that_does_not_answer_leaves_the_passages(chat: Chat, photos: InProcess, ada: Caller) -> None:
    photos.down = True
    answer = chat.ask(ada, "Which shoes with this?", photo_base64=PHOTO).json()
    assert (answer["tools"], answer["message"]["content"]) == ([], "Brown ones. Not black.")
    assert answer["notes"] == ["the photo was not looked at: the visual service did not answer as it must"]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
def test_what_the_detector_refuses_for_other_reasons_is_not_told_as_a_fault_of_the_photo(status: int) -> None:
    body = {"error": {"code": "forbidden", "message": "not for you"}}
    refusing = httpx.MockTransport(lambda _: httpx.Response(status, json=body))
    tool = PhotoTool(ServingSettings(), "http://visual", refusing)
    seen = asyncio.run(tool.look(PHOTO, None))
    assert seen.garments == []
    assert seen.answer.notes[0].startswith("the photo was not looked at: ")
    assert "not for you" not in seen.answer.notes[0]


def test_a_chat_without_a_visual_service_says_so(database_url: str, outfits: InProcess) -> None:
    with answering(Runner(), database_url, outfits, required=False) as chat:
        answer = chat.ask(None, "Which shoes with this?", photo_base64=PHOTO).json()
        assert answer["notes"] == ["the photo was not looked at: this service knows no visual service"]
