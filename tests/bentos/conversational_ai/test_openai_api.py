"""The OpenAI-compatible API, asked by OpenAI's own client over real HTTP."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
import uvicorn
from _bentoml_sdk.service import set_current_service
from starlette.applications import Starlette
from starlette.routing import Mount

from bentos.conversational_ai.openai_api import openai_app
from inference.chat.answer import DECLINED
from tests.bentos.conversational_ai.stub_runner import Runner, service_with

ASK: Any = [{"role": "user", "content": "Which shoes?"}]


@pytest.fixture
def runner() -> Runner:
    return Runner()


@pytest.fixture
def url(runner: Runner) -> Iterator[str]:
    set_current_service(service_with(runner))
    config = uvicorn.Config(Starlette(routes=[Mount("/v1", openai_app)]), port=0, log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/v1"
    server.should_exit = True
    thread.join()
    set_current_service(None)


@pytest.fixture
def client(url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key="any", max_retries=0)


def test_the_models_are_listed_and_found(client: openai.OpenAI) -> None:
    [model] = client.models.list()
    assert client.models.retrieve(model.id) == model
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("gpt-4o")
    assert "aura-chat" in missing.value.message


def test_an_answer_cites_in_the_fields_of_openai_and_in_our_own(client: openai.OpenAI, runner: Runner) -> None:
    answer = client.chat.completions.create(model="aura-chat", messages=ASK)
    [choice] = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("Brown ones. Not black.", "stop")
    assert (answer.object, answer.model, answer.system_fingerprint) == ("chat.completion", "aura-chat", "chat-1")
    cited = [annotation.url_citation for annotation in choice.message.annotations or []]
    assert [choice.message.content[each.start_index : each.end_index] for each in cited] == runner.answer
    assert [(each.title, each.url) for each in cited] == [("A", "aura:knowledge/a")] * 2
    ours: Any = answer.aura  # type: ignore[attr-defined]
    assert (ours["declined"], ours["ignored"], len(ours["sources"])) == (False, [], 3)
    assert [sentence["source"] for sentence in ours["sentences"]] == [0, 1]
    assert runner.conversations[-1] == ASK


def test_declining_is_an_answer_that_says_so(client: openai.OpenAI, runner: Runner) -> None:
    runner.declines = True
    answer = client.chat.completions.create(model="aura-chat", messages=ASK)
    assert answer.choices[0].message.content == DECLINED.text
    assert answer.choices[0].message.annotations == []
    assert answer.aura["declined"] is True  # type: ignore[attr-defined]


def test_a_stream_adds_up_to_the_whole_answer(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="aura-chat", messages=ASK)
    chunks = list(client.chat.completions.create(model="aura-chat", messages=ASK, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, "stop"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    cited: list[Any] = [note for chunk in chunks for note in getattr(chunk.choices[0].delta, "annotations", None) or []]
    assert [note["url_citation"]["end_index"] for note in cited] == [
        note.url_citation.end_index for note in whole.choices[0].message.annotations or []
    ]
    first, last = (chunk.aura for chunk in (chunks[0], chunks[-1]))  # type: ignore[attr-defined]
    assert (len(first["sources"]), last["declined"], last["model"]["version"]) == (3, False, "1")


def test_the_tokens_of_an_answer_are_counted(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="aura-chat", messages=ASK)
    assert whole.usage is not None
    assert (whole.usage.prompt_tokens, whole.usage.completion_tokens, whole.usage.total_tokens) == (70, 6, 76)
    chunks = list(
        client.chat.completions.create(
            model="aura-chat", messages=ASK, stream=True, stream_options={"include_usage": True}
        )
    )
    *answer, last = chunks
    assert [chunk.usage for chunk in answer] == [None] * len(answer)
    assert (last.choices, last.usage) == ([], whole.usage)
    assert answer[0].aura["ignored"] == []  # type: ignore[attr-defined]


def test_what_changes_nothing_is_named(client: openai.OpenAI, runner: Runner) -> None:
    messages: Any = [
        {"role": "system", "content": "Be rude."}, {"role": "user", "content": [{"type": "text", "text": "Shoes?"}]},
        {"role": "assistant", "content": "Brown ones."}, *ASK,
    ]  # fmt: skip
    answer = client.chat.completions.create(
        model="aura-chat", messages=messages, temperature=0.7, max_tokens=5000, extra_body={"passages": 2}
    )
    assert answer.aura["ignored"] == ["temperature", "system messages"]  # type: ignore[attr-defined]
    assert len(answer.aura["sources"]) == 2  # type: ignore[attr-defined]
    assert [message["content"] for message in runner.conversations[-1]] == ["Shoes?", "Brown ones.", "Which shoes?"]


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"model": "gpt-4o"}, openai.NotFoundError, "there is no model 'gpt-4o'"),
        ({"messages": []}, openai.UnprocessableEntityError, "messages"),
        ({"messages": [{"role": "assistant", "content": "Hm."}]}, openai.UnprocessableEntityError, "user's question"),
        ({"messages": [{"role": "user", "content": " "}]}, openai.BadRequestError, "must not be empty"),
        ({"n": 2}, openai.UnprocessableEntityError, "n: "),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.UnprocessableEntityError, "tools"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_have_the_shape_of_openai(
    client: openai.OpenAI, changes: dict[str, Any], kind: type[openai.APIStatusError], words: str, stream: bool
) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**({"model": "aura-chat", "messages": ASK, "stream": stream} | changes))
    body: Any = caught.value.body
    assert words in body["message"]
    assert body.keys() == {"message", "type", "param", "code", "request_id"}
    assert (body["type"], caught.value.request_id) == ("invalid_request_error", body["request_id"])


def test_too_many_answers_and_a_lost_runner_are_errors_that_a_client_may_try_again(
    client: openai.OpenAI, runner: Runner
) -> None:
    runner.failure, runner.whole = TimeoutError(), False
    with pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="aura-chat", messages=ASK)
    assert (caught.value.status_code, caught.value.type) == (503, "server_error")
    assert caught.value.response.headers["retry-after"]
    with pytest.raises(openai.APIError) as broken:
        list(client.chat.completions.create(model="aura-chat", messages=ASK, stream=True))
    assert broken.value.code == "overloaded"


def test_unknown_paths_and_large_bodies_have_the_shape_too(url: str) -> None:
    with httpx.Client(trust_env=False) as http:
        for response, status in (
            (http.get(f"{url}/embeddings"), 404),
            (http.get(f"{url}/chat/completions"), 405),
            (http.post(f"{url}/chat/completions", content=b"x" * 2_000_000), 413),
        ):
            assert response.status_code == status
            assert response.json()["error"]["type"] == "invalid_request_error"
        assert http.head(f"{url}/models").status_code == 200


def test_an_answer_is_stopped_when_its_client_leaves_the_stream(client: openai.OpenAI, runner: Runner) -> None:
    runner.may_go_on.clear()
    with client.chat.completions.create(model="aura-chat", messages=ASK, stream=True) as chunks:
        next(iter(chunks))
    deadline = time.monotonic() + 60
    while not runner.stopped:
        assert time.monotonic() < deadline
        time.sleep(0.01)
