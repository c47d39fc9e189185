"""Nothing that callers send is answered with a 5xx: some of each kind that `make bench-hostile` sends by the thousand."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from benchmarks.hostile_json import hostile_json
from benchmarks.hostile_uploads import FILES, hostile_uploads
from tests.bentos.stub_services import picture_base64, stub_client

SEED = 1
OUTFIT = {"items": [{"category": "tops", "title": "Shirt"}, {"category": "shoes", "image_base64": picture_base64()}]}
BODIES: dict[tuple[str, str], dict[str, Any]] = {
    ("outfit_recommendation", "/recommend"): OUTFIT | {"targets": ["bags"], "k": 2},
    ("outfit_recommendation", "/evaluate"): OUTFIT,
    ("conversational_ai", "/rag/query"): {"query": "navy", "k": 2},
    ("conversational_ai", "/chat"): {"messages": [{"role": "user", "content": "navy?"}], "passages": 1},
}


def test_uploads_are_answered_or_refused() -> None:
    kinds = len({request.kind for request in itertools.islice(hostile_uploads(SEED), 100)})
    assert kinds > len(FILES)
    answers: dict[int, list[str]] = {}
    with stub_client("visual_analysis") as client:
        for request in itertools.islice(hostile_uploads(SEED), kinds):
            headers = {"content-type": request.content_type or ""}
            answer = client.post("/analyze", content=request.body, headers=headers)
            answers.setdefault(answer.status_code, []).append(request.kind)
            assert answer.headers["x-request-id"]
            assert answer.status_code == 200 or answer.json()["error"]["hint"]
    assert answers.keys() <= {200, 400, 413, 422}, answers
    assert "bomb of 400 million pixels" in answers[400]
    assert "JPEG that is an archive" in answers[200], "what stands behind a picture does not matter"


@pytest.mark.parametrize(("service", "path"), BODIES)
def test_bodies_are_answered_or_refused(service: str, path: str) -> None:
    valid = BODIES[service, path]
    kinds = len({request.kind for request in itertools.islice(hostile_json(SEED, valid), 100)})
    answers: dict[int, list[str]] = {}
    with stub_client(service) as client:
        assert client.post(path, json=valid).status_code == 200
        for request in itertools.islice(hostile_json(SEED, valid), 2 * kinds):
            headers = {"content-type": request.content_type} if request.content_type else {}
            answer = client.post(path, content=request.body, headers=headers)
            answers.setdefault(answer.status_code, []).append(request.kind)
            assert answer.status_code == 200 or answer.json()["error"]["hint"]
    assert answers.keys() <= {200, 400, 413, 415, 422}, answers
    assert "lists a hundred thousand deep" in [*answers.get(400, ()), *answers.get(422, ())]


def test_the_same_seed_gives_the_same_requests() -> None:
    one, two = ([*itertools.islice(hostile_uploads(SEED), 10)] for _ in range(2))
    assert one == two
    three, four = ([*itertools.islice(hostile_json(SEED, {"a": 1}), 40)] for _ in range(2))
    assert three == four
