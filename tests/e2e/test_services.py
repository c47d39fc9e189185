"""The three services over HTTP and WebSocket, answering from the champions; and what they say to bad requests."""

from __future__ import annotations

import base64
import json

import httpx
import pytest
from websockets.sync.client import connect

from flows.ask import ask, drawn_photo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def vision(urls: dict[str, str]) -> httpx.Client:
    return httpx.Client(base_url=urls["visual_analysis"], timeout=60)


@pytest.fixture(scope="session")
def outfits(urls: dict[str, str]) -> httpx.Client:
    return httpx.Client(base_url=urls["outfit_recommendation"], timeout=60)


@pytest.fixture(scope="session")
def talk(urls: dict[str, str]) -> httpx.Client:
    return httpx.Client(base_url=urls["conversational_ai"], timeout=60)


def error_of(response: httpx.Response, status: int) -> dict[str, str]:
    """The one error body, with everything that it must hold."""
    assert response.status_code == status, response.text
    error: dict[str, str] = response.json()["error"]
    assert error.keys() == {"code", "message", "hint", "request_id"}
    assert error["code"]
    assert error["message"]
    assert error["request_id"] == response.headers["x-request-id"]
    return error


@pytest.mark.parametrize("service", ["visual_analysis", "outfit_recommendation", "conversational_ai"])
def test_each_service_answers_something_real(urls: dict[str, str], service: str) -> None:
    assert ask(service, urls[service])
    assert httpx.get(f"{urls[service]}/docs", timeout=10).status_code == 200


def test_health_names_the_version_that_answers(vision: httpx.Client, outfits: httpx.Client, talk: httpx.Client) -> None:
    for client in (vision, outfits, talk):
        health = client.get("/health").json()
        assert health["profile"] == "sample"
        assert health["model"]["version"] == "1"


def test_garments_lie_inside_the_photo(vision: httpx.Client) -> None:
    answer = vision.post(
        "/analyze", files={"image": ("a.jpg", drawn_photo(), "image/jpeg")}, params={"threshold": 0.05, "similar": 2}
    ).json()
    for garment in answer["garments"]:
        x0, y0, x1, y1 = garment["box"]
        assert 0 <= x0 < x1 <= answer["width"]
        assert 0 <= y0 < y1 <= answer["height"]
        assert len(garment["similar"]) <= 2


@pytest.mark.parametrize(
    ("content", "said"), [(b"not a picture", "picture"), (drawn_photo()[:200], "picture"), (b"", "image is empty")]
)
def test_a_broken_picture_is_refused_in_words(vision: httpx.Client, content: bytes, said: str) -> None:
    error = error_of(vision.post("/analyze", files={"image": ("a.jpg", content, "image/jpeg")}), 400)
    assert said in error["message"].lower() + error["hint"].lower()


def test_a_request_without_a_picture_says_what_is_missing(vision: httpx.Client) -> None:
    assert "image" in error_of(vision.post("/analyze"), 422)["message"]
    assert (
        "threshold"
        in error_of(
            vision.post("/analyze", files={"image": ("a.jpg", drawn_photo(), "image/jpeg")}, params={"threshold": 7}),
            422,
        )["message"]
    )


def test_an_outfit_is_judged_and_completed(outfits: httpx.Client) -> None:
    shirt = {"category": "tops", "image_base64": base64.b64encode(drawn_photo()).decode()}
    trousers = {"category": "bottoms", "title": "Beige chinos"}
    judged = outfits.post("/evaluate", json={"items": [shirt, trousers]}).json()
    assert 0 <= judged["score"] <= 1
    assert len(judged["items"]) == 2
    answer = outfits.post("/recommend", json={"items": [shirt, trousers], "targets": ["shoes", "bags"], "k": 2}).json()
    assert answer["targets"].keys() == {"shoes", "bags"}
    for category, items in answer["targets"].items():
        assert [item["category"] for item in items] == [category] * len(items)


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"items": []}, 422, "items"),
        ({"items": [{"category": "hat"}]}, 422, "category"),
        ({"items": [{"title": "a shirt"}]}, 422, "category"),
        ({"items": [{"item_id": "no-such-item"}]}, 400, "no-such-item"),
        ({"items": [{"category": "tops", "image_base64": "%%%"}]}, 400, "base64"),
        ({"items": [{"category": "tops", "title": "x"}], "colour": "red"}, 422, "colour"),
        ({"items": [{"category": "tops", "title": "x"}] * 13}, 422, "items"),
    ],
)
def test_a_bad_outfit_is_refused_in_words(
    outfits: httpx.Client, body: dict[str, object], status: int, said: str
) -> None:
    assert said in error_of(outfits.post("/evaluate", json=body), status)["message"]


def test_chat_answers_from_the_knowledge(talk: httpx.Client) -> None:
    question = {"messages": [{"role": "user", "content": "How do I wash a wool jumper?"}], "max_new_tokens": 8}
    answer = talk.post("/chat", json=question).json()
    assert answer["message"]["role"] == "assistant"
    assert answer["finish_reason"] in {"stop", "length"}
    assert any("wool" in source["slug"] for source in answer["sources"])
    passages = talk.post("/rag/query", json={"query": "wash a wool jumper", "k": 2}).json()["passages"]
    assert len(passages) == 2
    assert passages[0]["text"]


def test_an_unknown_path_has_the_same_error_body(talk: httpx.Client) -> None:
    error_of(talk.get("/no-such-path"), 404)
    assert "messages" in error_of(talk.post("/chat", json={}), 422)["message"]
    error_of(talk.post("/chat", content=b"{broken", headers={"content-type": "application/json"}), 422)
    error_of(talk.post("/rag/query", json={"query": "  "}), 400)


def test_a_conversation_over_the_websocket_goes_on_after_a_bad_frame(urls: dict[str, str]) -> None:
    with connect(urls["conversational_ai"].replace("http", "ws", 1) + "/ws/chat", open_timeout=30) as socket:

        def frames() -> list[dict[str, object]]:
            got = [json.loads(socket.recv(timeout=60))]
            while got[-1]["type"] not in ("done", "error"):
                got.append(json.loads(socket.recv(timeout=60)))
            return got

        socket.send("{broken")
        assert frames()[-1]["type"] == "error"
        for question in ("Which shoes go with a navy suit?", "and in winter?"):
            socket.send(json.dumps({"content": question}))
            kinds = [frame["type"] for frame in frames()]
            assert kinds[0] == "sources"
            assert kinds[-1] == "done"
            assert set(kinds[1:-1]) <= {"token"}


def test_a_question_that_the_model_refuses_is_the_callers_error(talk: httpx.Client, urls: dict[str, str]) -> None:
    wordy = "which shoes " * 300
    error = error_of(talk.post("/chat", json={"messages": [{"role": "user", "content": wordy}]}), 400)
    assert "token" in error["message"]
    with connect(urls["conversational_ai"].replace("http", "ws", 1) + "/ws/chat", open_timeout=30) as socket:
        socket.send(b"\x00\x01")
        assert json.loads(socket.recv(timeout=60))["type"] == "error"
