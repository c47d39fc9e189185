"""The three services over HTTP and WebSocket, answering from the champions; and what they say to bad requests."""

from __future__ import annotations

import base64
import http.client
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import pytest
from PIL import Image
from websockets.sync.client import connect

from aura.training_sources import DRAWN_ONLY
from aura.wording import says
from bentos.serving.settings import ServingSettings
from flows.service_smoke_test import drawn_photo
from flows.services import SERVICES
from tests.e2e.conftest import Nights

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


@pytest.mark.parametrize("service", ["visual_analysis", "outfit_recommendation", "conversational_ai", "accounts"])
def test_each_service_answers_something_real(urls: dict[str, str], service: str) -> None:
    assert SERVICES[service].smoke_test(urls[service])
    assert httpx.get(f"{urls[service]}/docs", timeout=60).status_code == 200


def test_the_first_call_of_the_readme_is_answered_with_what_the_model_has_seen(
    vision: httpx.Client, nights: Nights
) -> None:
    photo = nights.world.home / "reports" / "sample" / "example.jpg"
    answer = vision.post("/analyze?similar=3", files={"image": photo.read_bytes()}).json()
    assert answer["notice"] == DRAWN_ONLY
    assert (answer["width"], answer["height"]) == Image.open(photo).size


def test_health_names_the_version_that_answers(vision: httpx.Client, outfits: httpx.Client, talk: httpx.Client) -> None:
    for client in (vision, outfits, talk):
        health = client.get("/health").json()
        assert (health["state"], health["reasons"], health["profile"]) == ("ready", [], "sample")
        assert health["model"]["version"] == "1"


def test_metrics_of_a_service_are_its_own(urls: dict[str, str], nights: Nights) -> None:
    for name, url in urls.items():
        assert httpx.get(f"{url}/health", timeout=60).status_code == 200
        metrics = httpx.get(httpx.URL(url).join("/metrics"), timeout=60).text
        counted = set(re.findall(r'aura_requests_total{[^}]*route="/api/v1/([\w-]+)/', metrics))
        runners = set(re.findall(r'runner_name="(\w+)"', metrics))
        with_runner = {f"{name}_model"} if SERVICES[name].models else set()
        assert (counted, runners) == ({name.replace("_", "-")}, with_runner)
    assert not (nights.world.home / "bentoml" / "prometheus_multiproc_dir").exists(), "proofs and services shared it"


def test_garments_lie_inside_the_photo(vision: httpx.Client) -> None:
    answer = vision.post(
        "/analyze", files={"image": ("a.jpg", drawn_photo(), "image/jpeg")}, params={"threshold": 0.05, "similar": 2}
    ).json()
    assert answer["garments"]
    for garment in answer["garments"]:
        x0, y0, x1, y1 = garment["box"]
        assert 0 <= x0 < x1 <= answer["width"]
        assert 0 <= y0 < y1 <= answer["height"]
        assert len(garment["similar"]) <= 2


def test_a_body_that_is_announced_too_long_is_refused_before_it_is_sent(urls: dict[str, str]) -> None:
    for service, path in (("visual_analysis", "/analyze"), ("outfit_recommendation", "/evaluate")):
        url = httpx.URL(urls[service] + path)
        connection = http.client.HTTPConnection(url.host, url.port, timeout=60)
        connection.putrequest("POST", url.path)
        connection.putheader("content-type", "application/json")
        connection.putheader("content-length", str(10**9))
        connection.endheaders()
        response = connection.getresponse()
        error = json.loads(response.read())["error"]
        connection.close()
        assert (response.status, error["code"]) == (413, "too_large")
        assert error["request_id"] == response.headers["x-request-id"]


def test_a_body_that_grows_too_long_is_refused_too(talk: httpx.Client) -> None:
    def pieces() -> Iterator[bytes]:
        """httpx sends them without saying how many there are."""
        for _ in range(ServingSettings().max_body_bytes // 1_000_000 + 1):
            yield b" " * 1_000_000

    response = talk.post("/chat", content=pieces(), headers={"content-type": "application/json"})
    assert error_of(response, 413)["code"] == "too_large"
    assert talk.get("/health").status_code == 200


def test_two_photos_in_one_upload_are_not_one(vision: httpx.Client) -> None:
    photo = ("a.jpg", drawn_photo(), "image/jpeg")
    assert "one file" in error_of(vision.post("/analyze", files=[("image", photo), ("image", photo)]), 422)["message"]
    assert "photo" in error_of(vision.post("/analyze", files={"photo": photo}), 422)["message"]


def test_each_service_answers_head_and_says_what_its_paths_take(urls: dict[str, str]) -> None:
    for url in urls.values():
        health = httpx.head(f"{url}/health", timeout=60)
        assert (health.status_code, health.content) == (200, b"")
        refused = httpx.post(f"{url}/health", timeout=60)
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert "://" not in httpx.get(f"{url}/docs", timeout=60).text


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


def a_catalog_item(outfits: httpx.Client, category: str) -> str:
    shirt = {"category": "tops", "title": "White shirt"}
    answer = outfits.post("/recommend", json={"items": [shirt], "targets": [category], "k": 1}).json()
    return str(answer["targets"][category][0]["item_id"])


def test_what_a_photo_brings_up_is_what_can_be_judged(vision: httpx.Client, outfits: httpx.Client) -> None:
    found = vision.post(
        "/analyze", files={"image": ("a.jpg", drawn_photo(), "image/jpeg")}, params={"threshold": 0.05, "similar": 10}
    ).json()["garments"]
    ids = sorted({item["item_id"] for garment in found for item in garment["similar"]})
    assert ids
    for item_id in ids:
        assert outfits.post("/evaluate", json={"items": [{"item_id": item_id}]}).status_code == 200
    assert outfits.get("/health").json()["index_version"]


def test_what_is_missing_beside_a_catalog_item_is_recommended(outfits: httpx.Client) -> None:
    shoes = {"item_id": a_catalog_item(outfits, "shoes")}
    answer = outfits.post("/recommend", json={"items": [shoes], "k": 1}).json()
    assert answer["targets"].keys() == {"tops", "bottoms", "bags"}


def test_catalog_items_are_known_while_a_night_prepares_the_catalog(outfits: httpx.Client, nights: Nights) -> None:
    catalog = nights.world.home / "pipelines" / "sample" / "data" / "catalog"
    aside = catalog.with_name("aside")
    shoes = {"item_id": a_catalog_item(outfits, "shoes")}
    catalog.rename(aside)  # DVC removes it
    try:
        judged = outfits.post("/evaluate", json={"items": [shoes]})
        recommended = outfits.post("/recommend", json={"items": [shoes], "k": 3})
    finally:
        aside.rename(catalog)
    assert (judged.status_code, recommended.status_code) == (200, 200), judged.text + recommended.text


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
    assert answer["finish_reason"] == "stop"
    assert any("wool" in source["slug"] for source in answer["sources"])
    assert answer["message"]["content"] == " ".join(sentence["text"] for sentence in answer["sentences"])
    for sentence in answer["sentences"]:
        if answer["declined"]:
            assert (sentence["source"], sentence["status"]) == (None, "declined")
        else:
            assert sentence["status"] == "quoted"
            assert says(answer["sources"][sentence["source"]]["text"], sentence["text"])
    passages = talk.post("/rag/query", json={"query": "wash a wool jumper", "k": 2}).json()["passages"]
    assert len(passages) == 2
    assert passages[0]["text"]


def long_question(max_new_tokens: int = 200) -> dict[str, object]:
    """It is read behind every sentence of its passages, which takes a while."""
    messages = [{"role": "user", "content": "How do I wash a wool jumper? " * 10}]
    return {"messages": messages, "passages": 5, "max_new_tokens": max_new_tokens}


def test_health_answers_while_answers_are_generated(talk: httpx.Client) -> None:
    with ThreadPoolExecutor() as pool:
        answers = [pool.submit(talk.post, "/chat", json=long_question()) for _ in range(8)]
        meanwhile = 0
        while not all(answer.done() for answer in answers):
            assert talk.get("/health", timeout=60).status_code == 200
            meanwhile += not all(answer.done() for answer in answers)
        assert [answer.result().status_code for answer in answers] == [200] * 8
    assert meanwhile


def test_more_answers_than_may_wait_are_refused(talk: httpx.Client) -> None:
    limit = ServingSettings().max_waiting_answers
    with ThreadPoolExecutor(5 * limit) as pool:
        answers = list(pool.map(lambda _: talk.post("/chat", json=long_question()), range(5 * limit)))
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) - len(refused) >= limit
    assert refused
    for answer in refused:
        # The chat takes fewer answers at once than its service takes requests: it depends on the callers which limit one meets.
        assert error_of(answer, 503)["code"] in {"busy", "overloaded"}
        assert answer.headers["retry-after"]


def test_callers_that_leave_give_their_places_back(talk: httpx.Client) -> None:
    """If they did not, the next one would be refused, or answered after all of theirs."""
    limit = ServingSettings().max_waiting_answers

    def leave(_: int) -> None:
        with suppress(httpx.TimeoutException):
            talk.post("/chat", json=long_question(300), timeout=0.3)

    with ThreadPoolExecutor(limit) as pool:
        list(pool.map(leave, range(limit)))
    began = time.monotonic()
    while (answer := talk.post("/chat", json=long_question(1))).status_code == 503 and time.monotonic() < began + 2:
        time.sleep(0.05)
    assert answer.status_code == 200
    assert time.monotonic() < began + 2.5


def test_an_echoed_empty_answer_is_accepted_and_an_empty_question_is_not(talk: httpx.Client) -> None:
    said = [{"role": "user", "content": "Hm?"}, {"role": "assistant", "content": ""}]
    question = {"role": "user", "content": "How do I wash a wool jumper?"}
    assert talk.post("/chat", json={"messages": [*said, question]}).status_code == 200
    assert (
        "empty" in error_of(talk.post("/chat", json={"messages": [{"role": "user", "content": " "}]}), 422)["message"]
    )


def test_an_unknown_path_has_the_same_error_body(talk: httpx.Client) -> None:
    error_of(talk.get("/no-such-path"), 404)
    assert "messages" in error_of(talk.post("/chat", json={}), 422)["message"]
    error_of(talk.post("/chat", content=b"{broken", headers={"content-type": "application/json"}), 422)
    error_of(talk.post("/rag/query", json={"query": "  "}), 400)


def test_a_conversation_over_the_websocket_goes_on_after_a_bad_frame(urls: dict[str, str]) -> None:
    with connect(urls["conversational_ai"].replace("http", "ws", 1) + "/ws/chat", open_timeout=60) as socket:

        def frames() -> list[dict[str, object]]:
            received = [json.loads(socket.recv(timeout=60))]
            while received[-1]["type"] not in ("done", "error"):
                received.append(json.loads(socket.recv(timeout=60)))
            return received

        socket.send("{broken")
        assert frames()[-1]["type"] == "error"
        for question in ("Which shoes go with a navy suit?", "and in winter?"):
            socket.send(json.dumps({"content": question}))
            received = frames()
            kinds = [frame["type"] for frame in received]
            assert kinds[0] == "sources"
            assert kinds[-1] == "done"
            assert set(kinds[1:-1]) == {"token"}
            assert [str(frame["text"])[0] == " " for frame in received[1:-1]] == [n > 0 for n in range(len(kinds) - 2)]
            assert {frame["status"] for frame in received[1:-1]} == {
                "declined" if received[-1]["declined"] else "quoted"
            }


def test_a_question_that_the_model_refuses_is_the_callers_error(talk: httpx.Client, urls: dict[str, str]) -> None:
    wordy = "which shoes " * 300
    error = error_of(talk.post("/chat", json={"messages": [{"role": "user", "content": wordy}]}), 400)
    assert "token" in error["message"]
    with connect(urls["conversational_ai"].replace("http", "ws", 1) + "/ws/chat", open_timeout=60) as socket:
        socket.send(b"\x00\x01")
        assert json.loads(socket.recv(timeout=60))["type"] == "error"
