"""The outfit service as a tool of the chat: the real service on a real catalog and database, with stand-ins for the models."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from _bentoml_sdk.service import set_current_service
from fastapi.testclient import TestClient

from aura.taxonomy import Category
from bentos.accounts.access_tokens import AccessTokens
from bentos.conversational_ai.outfit_tool import OutfitArguments, OutfitTool
from bentos.conversational_ai.photo_tool import PhotoTool
from bentos.conversational_ai.service import ConversationalAI
from bentos.conversational_ai.service import app as chat_app
from bentos.conversational_ai.tools import Tools
from bentos.outfit_recommendation.model import OutfitRunner
from bentos.outfit_recommendation.schemas import OutfitsRequest
from bentos.outfit_recommendation.service import OutfitRecommendation
from bentos.outfit_recommendation.service import app as outfit_app
from bentos.serving.app import apply_settings
from bentos.serving.auth import AuthRules
from bentos.serving.settings import ServingSettings
from bentos.serving.tokens import Caller
from tests.bentos.conversational_ai.stub_runner import PLAIN_NO, Runner, frames, user
from tests.bentos.conversational_ai.test_chat_service import events
from tests.bentos.conversational_ai.test_stored_chats import TOKENS, Chat, signed
from tests.bentos.in_process import InProcess
from tests.bentos.outfit_recommendation.test_wishes_and_wardrobes import ITEMS, Rating, WholeClient, own
from tests.bentos.people import person
from tests.bentos.small_index import SmallIndex
from tests.bentos.stub_assets import StubAssets

OTHER_TOKENS = AccessTokens("another secret of more than 32 characters", 600)
URL = "http://127.0.0.1:1/api"
PHOTO = [
    {
        "category": "shoes",
        "score": 0.9,
        "box": [0, 0, 5, 5],
        "colours": [{"name": "white", "hex": "#fff", "share": 1.0}],
    },
    {"category": "tops", "score": 0.8, "box": [0, 0, 5, 5], "similar": [], "colours": []},
]
"""As `visual-analysis/analyze` answers them."""


@contextmanager
def answering(
    chat_runner: Runner, database_url: str, outfits: InProcess, *, required: bool, photos: InProcess | None = None
) -> Iterator[Chat]:
    seeing = PhotoTool(ServingSettings(), URL if photos else "", photos)
    service = ConversationalAI.inner(
        StubAssets(), chat_runner, database_url,
        lambda database: Tools(seeing, OutfitTool(database, URL, outfits)),
    )  # fmt: skip

    async def with_the_chat(scope: Any, receive: Any, send: Any) -> None:
        set_current_service(service)  # BentoML's own looks into a variable of the context
        await chat_app(scope, receive, send)

    for app in (chat_app, outfit_app):
        apply_settings(app, ServingSettings(), AuthRules(required=required, keys=TOKENS))
    with TestClient(with_the_chat, raise_server_exceptions=False) as client:
        yield Chat(client, service, chat_runner)
        assert client.portal is not None
        client.portal.call(service.close_database)
        client.portal.call(outfits.service.close_database)
    chat_app.state.auth = outfit_app.state.auth = None
    set_current_service(None)


@pytest.fixture
def outfits(tmp_path: Path, database_url: str) -> InProcess:
    index = SmallIndex(tmp_path / "built")
    index.publish(ITEMS, colour="#1b2440")
    (tmp_path / "champion").mkdir()
    assets = StubAssets(champion_folder=tmp_path / "champion", served_index=index.opened(), kept_in=index.uri)
    runner = WholeClient(OutfitRunner.inner(assets, lambda *_: Rating()))
    return InProcess(OutfitRecommendation.inner(StubAssets(), runner, database_url), outfit_app)


@pytest.fixture
def chat(database_url: str, outfits: InProcess) -> Iterator[Chat]:
    with answering(Runner(), database_url, outfits, required=True) as chat:
        yield chat


@pytest.fixture
def ada(database_url: str) -> Caller:
    return person(database_url, "ada@example.org")


def test_what_is_asked_of_the_tool_is_what_the_outfit_service_takes() -> None:
    for arguments in (
        OutfitArguments.model_validate({"items": [{"wardrobe_id": str(uuid.uuid4())}], "source": "both"}),
        OutfitArguments.model_validate({"items": [{"category": "tops", "title": "Navy top"}], "source": "catalog"}),
    ):
        taken = OutfitsRequest.model_validate(arguments.model_dump(mode="json", exclude_none=True))
        assert (taken.count, taken.source) == (2, arguments.source)


def test_a_question_about_a_garment_of_the_wardrobe_is_answered_with_outfits(
    chat: Chat, outfits: InProcess, database_url: str, ada: Caller
) -> None:
    blazer = own(database_url, ada, Category.OUTERWEAR, "Navy blazer")
    boots = own(database_url, ada, Category.SHOES, "Brown boots")
    headers, asked = signed(ada), [user("What goes with my navy blazer?")]
    answer = chat.client.post("/chat", json={"messages": asked, "wardrobe": True}, headers=headers).json()
    [use] = answer["tools"]
    assert use["name"] == "outfits"
    assert use["arguments"] == {"items": [{"wardrobe_id": blazer, "title": ""}], "source": "both", "count": 2}
    assert [garment["wardrobe_id"] for garment in use["asked_about"]] == [blazer]
    assert outfits.calls[0].headers["authorization"] == headers["authorization"]
    named = {
        (piece["title"], piece["wardrobe_id"] or piece["item_id"]) for outfit in use["outfits"] for piece in outfit
    }
    catalog = {(f"Some {category.value}", item_id) for item_id, category in ITEMS.items()}
    assert named <= {("Navy blazer", blazer), ("Brown boots", boots)} | catalog
    first = answer["sentences"][0]
    assert (first["status"], first["source"]) == ("tool", None)
    assert first["text"].startswith("With Navy blazer, wear ")
    for piece in use["outfits"][0]:
        assert piece["title"] in first["text"]
    assert answer["message"]["content"].endswith("Brown ones. Not black."), "the passages' words follow"
    assert (answer["notes"], answer["stored"]) == ([], True)
    assert chat.stored(ada, answer["conversation"])[-1] == answer["message"]


def test_from_my_own_wardrobe_means_nothing_of_the_catalog(chat: Chat, database_url: str, ada: Caller) -> None:
    own(database_url, ada, Category.OUTERWEAR, "Navy blazer")
    boots = own(database_url, ada, Category.SHOES, "Brown boots")
    own(database_url, person(database_url, "eve@example.org"), Category.TOPS, "White shirt")
    answer = chat.ask(ada, "What from my wardrobe goes with my blazer?", wardrobe=True).json()
    [use] = answer["tools"]
    assert use["arguments"]["source"] == "wardrobe"
    assert {piece["wardrobe_id"] for outfit in use["outfits"] for piece in outfit[1:]} == {boots}
    assert "Brown boots (yours)" in answer["sentences"][0]["text"]


def test_what_a_photo_shows_is_this_over_all_three_ways(database_url: str, outfits: InProcess) -> None:
    with answering(Runner(), database_url, outfits, required=False) as chat:
        question = "What can I wear with this?"
        whole = chat.ask(None, question, garments=PHOTO).json()
        [use] = whole["tools"]
        assert [garment["title"] for garment in use["asked_about"]] == ["White shoes", "Top"]
        assert use["arguments"]["source"] == "catalog"
        assert {garment["source"] for garment in use["outfits"][0]} == {"photo", "catalog"}
        assert "authorization" not in outfits.calls[0].headers
        streamed = events(chat.ask(None, question, garments=PHOTO, stream=True).text)
        assert streamed[0][1]["tools"] == whole["tools"]
        assert streamed[1][1]["status"] == "tool"
        with chat.socket(None) as socket:
            socket.send_json({"content": question, "garments": PHOTO})
            assert frames(socket)[0]["tools"] == whole["tools"]


def test_where_no_passage_answers_the_tool_does(chat: Chat, database_url: str, ada: Caller) -> None:
    own(database_url, ada, Category.OUTERWEAR, "Navy blazer")
    chat.runner.declines = True
    answer = chat.ask(ada, "What goes with my blazer?", wardrobe=True).json()
    assert not answer["declined"]
    assert {sentence["status"] for sentence in answer["sentences"]} == {"tool"}
    declined = chat.ask(ada, "How do I tune a piano?", wardrobe=True).json()
    assert (declined["declined"], declined["message"]["content"]) == (True, PLAIN_NO.text)


@pytest.mark.parametrize(
    ("question", "notes"),
    [
        ("What goes with my navy parka?", ["nothing in your wardrobe and the photo is 'my navy parka'"]),
        ("Which shoes go with a navy suit?", []),
    ],
)
def test_where_nothing_matches_the_passages_answer_and_the_note_says_so(
    chat: Chat, outfits: InProcess, database_url: str, ada: Caller, question: str, notes: list[str]
) -> None:
    own(database_url, person(database_url, "eve@example.org"), Category.OUTERWEAR, "Navy parka")
    answer = chat.ask(ada, question, wardrobe=True, garments=PHOTO).json()
    assert (answer["tools"], answer["notes"], answer["message"]["content"]) == ([], notes, "Brown ones. Not black.")
    assert outfits.calls == []


def test_a_tool_that_does_not_answer_leaves_the_passages(
    chat: Chat, outfits: InProcess, database_url: str, ada: Caller
) -> None:
    own(database_url, ada, Category.OUTERWEAR, "Navy blazer")
    outfits.down = True
    answer = chat.ask(ada, "What goes with my blazer?", wardrobe=True).json()
    assert answer["message"]["content"] == "Brown ones. Not black."
    assert answer["notes"] == ["no outfits were put together: the outfit service did not answer as it must"]


def test_a_token_that_expires_while_a_connection_is_open_is_named(
    chat: Chat, outfits: InProcess, database_url: str, ada: Caller
) -> None:
    own(database_url, ada, Category.OUTERWEAR, "Navy blazer")
    with chat.socket(ada) as socket:
        apply_settings(outfit_app, ServingSettings(), AuthRules(required=True, keys=OTHER_TOKENS))
        socket.send_json({"content": "What goes with my blazer?", "wardrobe": True})
        told = frames(socket)
        assert (told[0]["tools"], told[-1]["type"]) == ([], "done")
        assert told[0]["notes"] == [
            "no outfits were put together: your token is no longer good; connect with a new one"
        ]
    assert len(outfits.calls) == 1


def test_a_wardrobe_needs_its_owner(database_url: str, outfits: InProcess) -> None:
    with answering(Runner(), database_url, outfits, required=False) as chat:
        assert chat.ask(None, "What goes with my blazer?", wardrobe=True).status_code == 401
        with chat.socket(None) as socket:
            socket.send_json({"content": "What goes with my blazer?", "wardrobe": True})
            assert frames(socket)[-1]["error"]["code"] == "unauthenticated"
            socket.send_json({"content": "Which shoes?"})
            assert frames(socket)[-1]["type"] == "done"


@pytest.mark.parametrize(
    "garments", [[{"category": "cars"}], [{}], [{"category": "tops", "colours": [{"name": ""}]}], "tops"]
)
def test_garments_that_no_analysis_names_are_refused(chat: Chat, ada: Caller, garments: Any) -> None:
    assert chat.client.post(
        "/chat", json={"messages": [user("What goes with this?")], "garments": garments}, headers=signed(ada)
    ).status_code == 422  # fmt: skip
