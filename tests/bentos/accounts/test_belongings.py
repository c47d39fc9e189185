"""Wardrobe, conversations and feedback: kept for their owner, unreachable for others, gone when they are to go."""

from __future__ import annotations

import base64
import io
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from httpx import Response
from PIL import Image

from tests.bentos.accounts.conftest import PASSWORD, QUICK, Api, Tokens, serving
from tests.bentos.accounts.test_accounts_service import rows

NAVY, RED = "#1b2440", "#b81f2f"


def photo(*colours: str, exif: bool = False) -> bytes:
    """A PNG or, with notes of a camera, a JPEG, with upright stripes of these colours, 40 x 60 px each."""
    picture = Image.new("RGB", (40 * len(colours), 60))
    for number, colour in enumerate(colours):
        picture.paste(colour, (40 * number, 0, 40 * number + 40, 60))
    buffer = io.BytesIO()
    notes = Image.Exif()
    notes[0x010F] = "SECRETCAMERA"
    picture.save(buffer, "JPEG", exif=notes) if exif else picture.save(buffer, "PNG")
    return buffer.getvalue()


def files(home: Path) -> list[Path]:
    return [path for path in (home / "pictures").rglob("*") if path.is_file()]


def put(api: Api, who: Tokens, **body: Any) -> Response:
    return api.client.post("/wardrobe", json={"category": "tops", "title": "Linen shirt"} | body, headers=who.headers)


def get(api: Api, who: Tokens, path: str, **params: Any) -> Response:
    return api.client.get(path, params=params, headers=who.headers)


@pytest.fixture
def eve(api: Api) -> Tokens:
    """Somebody else."""
    api.register("eve@example.org")
    return api.sign_in("eve@example.org")


def test_a_garment_with_a_picture_is_called_by_its_colours(api: Api, ada: Tokens, own_home: Path) -> None:
    image = base64.b64encode(photo(NAVY, exif=True)).decode()
    kept = put(api, ada, category="shoes", title="", image_base64=image)
    assert kept.status_code == 201, kept.text
    garment = kept.json()
    assert (garment["title"], garment["colour"], garment["has_picture"]) == ("Navy shoes", "navy", True)
    picture = get(api, ada, f"/wardrobe/{garment['id']}/picture")
    assert (picture.headers["content-type"], Image.open(io.BytesIO(picture.content)).size) == ("image/jpeg", (40, 60))
    assert b"SECRETCAMERA" not in picture.content
    [file] = files(own_home)
    assert file.stat().st_mode & 0o077 == 0


def test_a_garment_without_title_and_picture_is_refused(api: Api, ada: Tokens) -> None:
    assert put(api, ada, title="").status_code == 422


def test_an_analysis_becomes_garments_in_one_call(api: Api, ada: Tokens, own_home: Path) -> None:
    analysis = {
        "width": 80, "height": 60, "notice": None, "model": {"name": "detection", "version": "1"},
        "garments": [
            {"category": "tops", "score": 0.9, "box": [0, 0, 40, 60], "similar": []},
            {"category": "bags", "score": 0.8, "box": [40, 0, 80, 60], "similar": []},
        ],
    }  # fmt: skip

    def send(**changes: Any) -> Response:
        return api.client.post(
            "/wardrobe/photo", files={"image": ("a.png", photo(NAVY, RED))}, headers=ada.headers,
            data={"analysis": json.dumps(analysis | changes)},
        )  # fmt: skip

    answer = send()
    assert answer.status_code == 201, answer.text
    assert [(garment["title"], garment["colour"]) for garment in answer.json()] == [
        ("Navy top", "navy"),
        ("Red bag", "red"),
    ]
    assert len(files(own_home)) == 2
    assert "80 x 60 px, the analysis is of one with 81 x 60" in send(width=81).json()["error"]["message"]
    for broken in ({"garments": []}, {"garments": [{"category": "tops", "box": [0, 0, 0, 0]}]}, {"garments": "x"}):
        assert send(**broken).status_code == 400
    assert api.client.post("/wardrobe/photo", files={"image": b"x"}, headers=ada.headers).status_code == 422


def test_a_wardrobe_is_listed_in_pages_corrected_and_emptied(api: Api, ada: Tokens, own_home: Path) -> None:
    image = base64.b64encode(photo(NAVY)).decode()
    ids = [put(api, ada, title=f"Shirt {number}", image_base64=image).json()["id"] for number in range(5)]
    first = get(api, ada, "/wardrobe", limit=3).json()
    second = get(api, ada, "/wardrobe", limit=3, after=first["after"]).json()
    assert [garment["id"] for garment in first["garments"] + second["garments"]] == ids[::-1]
    assert second["after"] is None
    words = {"category": "outerwear", "title": "Jacket", "colour": "blue"}
    changed = api.client.put(f"/wardrobe/{ids[0]}", json=words, headers=ada.headers).json()
    assert {name: changed[name] for name in words} == words
    assert len(files(own_home)) == 1, "one picture of one content"
    for number, garment_id in enumerate(ids):
        assert len(files(own_home)) == 1
        assert api.client.delete(f"/wardrobe/{garment_id}", headers=ada.headers).status_code == 204, number
    assert files(own_home) == []
    assert get(api, ada, "/wardrobe").json() == {"garments": [], "after": None}


def test_a_conversation_is_kept_in_its_order_and_unreadable_in_the_database(
    api: Api, ada: Tokens, database_url: str
) -> None:
    conversation = api.client.post("/conversations", headers=ada.headers).json()
    path = f"/conversations/{conversation['id']}/messages"
    said = [{"role": "user", "content": "SECRETQUESTION?"}, {"role": "assistant", "content": "An answer."}]
    assert api.client.post(path, json={"messages": said}, headers=ada.headers).status_code == 201
    assert (
        api.client.post(path, json={"messages": said[:1]}, headers=ada.headers).json()["messages"][0]["position"] == 2
    )
    page = get(api, ada, path, limit=2).json()
    assert ([message["content"] for message in page["messages"]], page["next"]) == ([m["content"] for m in said], 2)
    assert len(get(api, ada, path, first=2).json()["messages"]) == 1
    with psycopg.connect(database_url) as connection:
        stored = connection.execute("SELECT content FROM messages").fetchall()
    assert len(stored) == 3
    assert not any(b"SECRET" in bytes(content) for (content,) in stored)
    assert [entry["id"] for entry in get(api, ada, "/conversations").json()["conversations"]] == [conversation["id"]]
    assert api.client.delete(f"/conversations/{conversation['id']}", headers=ada.headers).status_code == 204
    assert get(api, ada, path).status_code == 404


FEEDBACK: list[dict[str, Any]] = [
    {"kind": "answer", "thumbs": "down", "question": "Which shoes?", "answer": "Red ones."},
    {"kind": "detection", "photo_sha256": "0" * 64, "garments": [{"category": "tops", "box": [0, 0, 5, 5]}]},
    {"kind": "outfit", "verdict": "saved", "item_ids": ["a", "b"], "score": 0.5},
]


def test_feedback_of_every_kind_is_kept_and_can_be_taken_back(api: Api, ada: Tokens) -> None:
    ids = []
    for body in FEEDBACK:
        answer = api.client.post("/feedback", json=body, headers=ada.headers)
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
    kept = get(api, ada, "/feedback").json()["feedback"]
    assert [entry["kind"] for entry in kept] == ["outfit", "detection", "answer"]
    for body, entry in zip(FEEDBACK, reversed(kept), strict=True):
        assert body.items() <= entry["body"].items()
    assert api.client.delete(f"/feedback/{ids[0]}", headers=ada.headers).status_code == 204
    assert len(get(api, ada, "/feedback").json()["feedback"]) == 2


@pytest.mark.parametrize("body", [{}, {"kind": "x"}, FEEDBACK[0] | {"thumbs": "sideways"}, FEEDBACK[2] | {"score": 2}])
def test_feedback_that_says_nothing_is_refused(api: Api, ada: Tokens, body: dict[str, Any]) -> None:
    assert api.client.post("/feedback", json=body, headers=ada.headers).status_code == 422


def test_what_is_somebody_elses_cannot_be_reached(api: Api, ada: Tokens, eve: Tokens) -> None:
    garment = put(api, ada, image_base64=base64.b64encode(photo(NAVY)).decode()).json()["id"]
    conversation = api.client.post("/conversations", headers=ada.headers).json()["id"]
    messages = {"messages": [{"role": "user", "content": "hello"}]}
    api.client.post(f"/conversations/{conversation}/messages", json=messages, headers=ada.headers)
    feedback = api.client.post("/feedback", json=FEEDBACK[0], headers=ada.headers).json()["id"]
    words = {"category": "tops", "title": "mine"}
    attempts: list[tuple[str, str, Any]] = [
        ("GET", f"/wardrobe/{garment}", None), ("GET", f"/wardrobe/{garment}/picture", None),
        ("PUT", f"/wardrobe/{garment}", words), ("DELETE", f"/wardrobe/{garment}", None),
        ("GET", f"/conversations/{conversation}/messages", None),
        ("POST", f"/conversations/{conversation}/messages", messages),
        ("DELETE", f"/conversations/{conversation}", None), ("DELETE", f"/feedback/{feedback}", None),
    ]  # fmt: skip
    for method, path, body in attempts:
        missing = path.replace(garment, str(uuid.uuid4())).replace(conversation, str(uuid.uuid4()))
        told = []
        for asked in (path, missing if missing != path else "/feedback/999999"):
            answer = api.client.request(method, asked, json=body, headers=eve.headers)
            assert answer.status_code == 404, (method, asked)
            told.append({**answer.json()["error"], "request_id": ""})
        assert told[0] == told[1], "whether it is somebody else's or not there is not told"
        assert api.client.request(method, path, json=body).status_code == 401
    assert get(api, eve, "/wardrobe").json()["garments"] == []
    assert get(api, eve, "/wardrobe", after=garment).json()["garments"] == []
    assert get(api, eve, "/conversations").json()["conversations"] == []
    assert get(api, eve, "/feedback").json()["feedback"] == []
    assert get(api, ada, f"/wardrobe/{garment}").json()["title"] == "Linen shirt"
    assert len(get(api, ada, f"/conversations/{conversation}/messages").json()["messages"]) == 1


def fill(api: Api, who: Tokens, garments: int = 2) -> None:
    for number in range(garments):
        put(api, who, image_base64=base64.b64encode(photo(NAVY if number else RED)).decode())
    conversation = api.client.post("/conversations", headers=who.headers).json()["id"]
    said = {"messages": [{"role": "user", "content": f"question {number}"} for number in range(3)]}
    api.client.post(f"/conversations/{conversation}/messages", json=said, headers=who.headers)
    for body in FEEDBACK:
        api.client.post("/feedback", json=body, headers=who.headers)


def test_an_export_is_complete_and_one_persons(api: Api, ada: Tokens, eve: Tokens, database_url: str) -> None:
    fill(api, ada)
    put(api, eve, title="SECRETOFEVE")
    answer = get(api, ada, "/export")
    export = answer.json()
    assert [len(export[name]) for name in ("sessions", "garments", "conversations", "feedback")] == [1, 2, 1, 3]
    assert [message["content"] for message in export["conversations"][0]["messages"]] == [
        f"question {number}" for number in range(3)
    ]
    assert get(api, ada, f"/{export['garments'][0]['picture']}").status_code == 200
    assert "SECRETOFEVE" not in answer.text
    assert "$2b$" not in answer.text
    with psycopg.connect(database_url) as connection:
        columns = {row[0] for row in connection.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'users'"
        )}  # fmt: skip
    assert columns - {"password_hash"} == export["account"].keys()


def test_after_a_deletion_no_row_and_no_file_of_the_owner_is_left(
    api: Api, ada: Tokens, eve: Tokens, database_url: str, own_home: Path
) -> None:
    before = rows(database_url)
    eves_files = files(own_home)
    fill(api, ada)
    assert min(rows(database_url).values()) > 0
    answer = api.client.post("/deletion", json={"password": PASSWORD}, headers=ada.headers)
    assert answer.status_code == 200, answer.text
    assert all(entry["until"] for entry in answer.json()["remains"])
    after = rows(database_url)
    assert after == before | {"users": 1, "sessions": 1, "refresh_tokens": 1}
    assert files(own_home) == eves_files
    assert api.me(eve).status_code == 200


def test_pictures_of_somebody_who_went_while_the_service_was_killed_are_removed_at_its_start(
    api: Api, ada: Tokens, database_url: str, own_home: Path
) -> None:
    fill(api, ada)
    with psycopg.connect(database_url) as connection:
        connection.execute("DELETE FROM users")
    assert files(own_home)
    for restarted in serving(database_url):
        while files(own_home):
            restarted.client.get("/health")


@pytest.fixture
def small(database_url: str) -> Iterator[Api]:
    few = {"max_garments": 2, "max_conversations": 2, "max_messages": 2, "feedback_per_day": 2}
    yield from serving(database_url, QUICK.model_copy(update=few))


def test_each_person_has_limits(small: Api) -> None:
    small.register()
    ada = small.sign_in()
    for kept in (True, True, False):
        assert put(small, ada).status_code == (201 if kept else 400)
        conversation = small.client.post("/conversations", headers=ada.headers)
        assert conversation.status_code == (201 if kept else 400)
        feedback = small.client.post("/feedback", json=FEEDBACK[0], headers=ada.headers)
        assert feedback.status_code == (201 if kept else 429)
    [newest, _] = get(small, ada, "/conversations").json()["conversations"]
    said = {"messages": [{"role": "user", "content": "hello"}]}
    sent = [
        small.client.post(f"/conversations/{newest['id']}/messages", json=said, headers=ada.headers).status_code
        for _ in range(3)
    ]
    assert sent == [201, 201, 400]


def test_consent_is_asked_for_and_told(api: Api, ada: Tokens) -> None:
    assert api.me(ada).json()["may_learn"] is False
    changed = api.client.put("/consent", json={"may_learn": True}, headers=ada.headers)
    assert (changed.status_code, changed.json()["may_learn"]) == (200, True)
    assert api.me(ada).json()["may_learn"] is True


def test_what_a_night_has_taken_waits_again_when_the_consent_is_withdrawn(
    api: Api, ada: Tokens, eve: Tokens, database_url: str
) -> None:
    for who in (ada, eve):
        assert api.client.put("/consent", json={"may_learn": True}, headers=who.headers).status_code == 200
        assert api.client.post("/feedback", json=FEEDBACK[0], headers=who.headers).status_code == 201
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE feedback SET taken_at = now()")
    assert api.client.put("/consent", json={"may_learn": False}, headers=ada.headers).status_code == 200
    taken = {who: get(api, who, "/feedback").json()["feedback"][0]["taken_at"] for who in (ada, eve)}
    assert taken[ada] is None
    assert taken[eve]
