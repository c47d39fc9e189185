"""What people say who have signed in, over HTTP, as events and over a WebSocket: on a real database, with a stand-in runner."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
from fastapi.testclient import TestClient
from tenacity import Retrying, retry_if_exception_type, stop_after_delay

from aura.errors import DatabaseUnavailableError
from bentos.accounts.access_tokens import AccessTokens
from bentos.accounts.settings import AccountsSettings
from bentos.conversational_ai.service import ConversationalAI, app
from bentos.serving.auth import AuthRules
from bentos.serving.settings import ServingSettings
from bentos.serving.tokens import Caller
from stores.local_server import LocalServer
from stores.schema import upgrade
from tests.bentos.conversational_ai.stub_runner import Runner, assistant, closing_code, frames, until, user
from tests.bentos.conversational_ai.test_chat_service import events
from tests.bentos.people import person
from tests.bentos.served_app import served_app
from tests.bentos.stub_assets import StubAssets

TOKENS = AccessTokens("0123456789abcdef0123456789abcdef", 600)
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
START_SECONDS = 120.0


@dataclass
class Chat:
    """The service, and what people do with it."""

    client: TestClient
    service: Any
    runner: Runner

    def ask(self, who: Caller | None, question: str = "Which shoes?", **more: Any) -> Any:
        return self.client.post("/chat", json={"messages": [user(question)], **more}, headers=signed(who))

    def socket(self, who: Caller | None, conversation: str = "") -> Any:
        path = f"/ws/chat?conversation={conversation}" if conversation else "/ws/chat"
        return self.client.websocket_connect(path, headers=signed(who))

    def stored(self, who: Caller, conversation: str) -> list[dict[str, str]]:
        assert self.client.portal is not None
        latest = self.service._stored.latest
        for attempt in Retrying(retry=retry_if_exception_type(DatabaseUnavailableError), stop=stop_after_delay(120)):
            with attempt:
                found = self.client.portal.call(latest, who.user_id, uuid.UUID(conversation), 1000)
        return [message.model_dump() for message in found]


def signed(who: Caller | None) -> dict[str, str]:
    return {"authorization": f"Bearer {TOKENS.signed(who)}"} if who else {}


@contextmanager
def serving(database_url: str, *, required: bool = True, **limits: int) -> Iterator[Chat]:
    runner = Runner()
    settings = ServingSettings(accounts=AccountsSettings(**limits))
    service = ConversationalAI.inner(StubAssets(serving=settings), runner, database_url)
    with served_app(app, service, settings, AuthRules(required=required, keys=TOKENS)) as client:
        yield Chat(client, service, runner)


@pytest.fixture
def chat(database_url: str) -> Iterator[Chat]:
    with serving(database_url) as chat:
        yield chat


@pytest.fixture
def ada(database_url: str) -> Caller:
    return person(database_url, "ada@example.org")


@pytest.fixture
def eve(database_url: str) -> Caller:
    return person(database_url, "eve@example.org")


def rows(url: str, table: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()


def family(server: LocalServer) -> list[psutil.Process]:
    """The server's processes, its first one first."""
    main = psutil.Process(int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0]))
    return [main, *main.children(recursive=True)]


ANSWER = assistant("Brown ones. Not black.")


def test_what_a_person_asks_is_stored_with_its_answer_encrypted(chat: Chat, ada: Caller, database_url: str) -> None:
    answer = chat.ask(ada).json()
    assert (answer["stored"], answer["notes"]) == (True, [])
    assert chat.stored(ada, answer["conversation"]) == [user("Which shoes?"), ANSWER]
    streamed = events(chat.ask(ada, "Which bag?", stream=True).text)[-1][1]
    assert (streamed["type"], streamed["stored"], streamed["notes"]) == ("done", True, [])
    assert chat.stored(ada, streamed["conversation"]) == [user("Which bag?"), ANSWER]
    with chat.socket(ada) as socket:
        for _ in range(2):
            socket.send_json({"content": "Which hat?"})
            received = [socket.receive_json() for _ in range(4)]
            assert (received[-1]["type"], received[-1]["stored"]) == ("done", True)
            assert received[0]["conversation"] == received[-1]["conversation"]
    assert chat.stored(ada, received[-1]["conversation"]) == [user("Which hat?"), ANSWER] * 2
    assert len(rows(database_url, "conversations")) == 3
    assert b"shoes" not in repr(rows(database_url, "messages")).encode()


def test_a_conversation_goes_on_by_its_id_in_another_process_too(chat: Chat, ada: Caller, database_url: str) -> None:
    first = chat.ask(ada).json()["conversation"]
    with serving(database_url) as other:
        assert other.ask(ada, "And which bag?", conversation=first).json()["conversation"] == first
        assert other.runner.conversations[-1] == [user("Which shoes?"), ANSWER, user("And which bag?")]
        with other.socket(ada, first) as socket:
            socket.send_json({"content": "And which hat?"})
            assert frames(socket)[-1]["stored"]
        assert len(other.runner.conversations[-1]) == 5
        assert other.stored(ada, first)[-2:] == [user("And which hat?"), ANSWER]


def test_of_a_long_conversation_the_end_is_what_answers_stand_on(chat: Chat, ada: Caller) -> None:
    conversation = chat.ask(ada, "Question 0?").json()["conversation"]
    for number in range(1, 14):
        chat.ask(ada, f"Question {number}?", conversation=conversation)
    before = chat.runner.conversations[-1]
    assert (len(before), before[0], before[-1]) == (21, user("Question 3?"), user("Question 13?"))
    assert len(chat.stored(ada, conversation)) == 28


def test_what_was_sent_along_is_stored_with_a_new_conversation(chat: Chat, ada: Caller) -> None:
    said = [user("Which shoes?"), ANSWER, user("And which bag?")]
    answer = chat.client.post("/chat", json={"messages": said}, headers=signed(ada)).json()
    assert chat.stored(ada, answer["conversation"]) == [*said, ANSWER]
    both = chat.client.post(
        "/chat", json={"messages": said, "conversation": answer["conversation"]}, headers=signed(ada)
    )
    assert (both.status_code, "send the question alone" in both.json()["error"]["message"]) == (422, True)


@pytest.mark.parametrize("required", [True, False])
def test_somebody_elses_conversation_is_answered_as_one_that_is_not_there(
    ada: Caller, eve: Caller, database_url: str, required: bool
) -> None:
    with serving(database_url, required=required) as chat:
        with chat.socket(ada) as open_one:
            open_one.send_json({"content": "Which shoes?"})
            theirs = [open_one.receive_json() for _ in range(4)][-1]["conversation"]
            known = chat.ask(ada).json()["conversation"]
            errors = []
            for conversation in (theirs, known, str(uuid.uuid4())):
                refused = chat.ask(eve, conversation=conversation)
                assert refused.status_code == 404
                errors.append(refused.json()["error"] | {"request_id": ""})
            for conversation in (theirs, known, str(uuid.uuid4()), "made-up"):
                for who in (eve,) if required else (eve, None):
                    with chat.socket(who, conversation) as socket:
                        errors.append(frames(socket)[-1]["error"] | {"request_id": ""})
                        assert closing_code(socket) == 1008
            assert all(error == errors[0] for error in errors)
            assert errors[0]["code"] == "not_found"
            assert chat.ask(None, conversation=known).status_code == 401
            open_one.send_json({"content": "Which bag?"})
            assert frames(open_one)[-1]["type"] == "done", "nobody has taken it over"
    assert len(rows(database_url, "messages")) == 6


def test_what_is_said_without_a_token_is_remembered_by_the_process_alone(database_url: str) -> None:
    with serving(database_url, required=False) as chat:
        answer = chat.ask(None).json()
        assert (answer["stored"], answer["conversation"], answer["notes"]) == (False, None, [])
        with chat.socket(None) as socket:
            socket.send_json({"content": "Which shoes?"})
            conversation = [socket.receive_json() for _ in range(4)][-1]["conversation"]
        with chat.socket(None, conversation) as socket:
            socket.send_json({"content": "And which bag?"})
            assert frames(socket)[-1]["type"] == "done"
        assert len(chat.runner.conversations[-1]) == 3
    assert rows(database_url, "conversations") == rows(database_url, "messages") == []


def test_a_cancelled_answer_is_stored_as_far_as_it_was_told(chat: Chat, ada: Caller) -> None:
    chat.runner.endless = True
    with chat.socket(ada) as socket:
        socket.send_json({"content": "Which shoes?"})
        first, *_ = [socket.receive_json() for _ in range(3)]
        socket.send_json({"type": "cancel"})
        assert socket.receive_json() == {"type": "cancelled", "stored": True, "notes": []}
    assert chat.stored(ada, first["conversation"]) == [user("Which shoes?"), ANSWER]


def test_an_answer_without_a_word_is_not_stored(chat: Chat, ada: Caller, database_url: str) -> None:
    chat.runner.answer = []
    answer = chat.ask(ada).json()
    assert (answer["stored"], answer["notes"]) == (False, ["this was not stored: nothing was said"])
    assert rows(database_url, "conversations") == []


def test_what_its_owner_removes_is_gone_and_comes_not_back(chat: Chat, ada: Caller, database_url: str) -> None:
    def not_stored(answer: Any, why: str) -> bool:
        return (answer["stored"], answer["notes"]) == (False, [f"this was not stored: {why}"])

    with chat.socket(ada) as socket:
        socket.send_json({"content": "Which shoes?"})
        conversation = [socket.receive_json() for _ in range(4)][-1]["conversation"]
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("DELETE FROM conversations")
        socket.send_json({"content": "Which bag?"})
        assert not_stored(frames(socket)[-1], "the conversation is not there")
        with chat.socket(ada, conversation) as another:
            assert frames(another)[-1]["error"]["code"] == "not_found"
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("DELETE FROM users")
        assert not_stored(chat.ask(ada).json(), "what this belongs to is gone")
    assert rows(database_url, "conversations") == rows(database_url, "messages") == []


def test_a_person_has_so_many_conversations_and_messages_at_most(database_url: str, ada: Caller) -> None:
    with serving(database_url, max_conversations=1, max_messages=3) as chat:
        conversation = chat.ask(ada).json()["conversation"]
        another = chat.ask(ada).json()
        assert another["message"] == ANSWER
        assert another["notes"] == ["this was not stored: you have 1 conversations, which is the most"]
        longer = chat.ask(ada, conversation=conversation).json()
        assert longer["notes"] == ["this was not stored: a conversation has 3 messages at most"]
        assert len(chat.stored(ada, conversation)) == 2


def test_without_a_database_or_with_one_that_is_away_every_question_is_answered() -> None:
    nobody = Caller(user_id=uuid.uuid4(), session_id=uuid.uuid4(), role="user")
    with serving("") as chat:
        answer = chat.ask(nobody).json()
        assert answer["message"] == ANSWER
        assert answer["notes"] == ["this was not stored: this service stores no conversations: it has no database"]
        assert chat.ask(nobody, conversation=str(uuid.uuid4())).status_code == 422
        assert chat.client.get("/health").json()["state"] == "ready"
    with serving(NOWHERE) as chat:
        health = chat.client.get("/health").json()
        assert (health["state"], health["reasons"]) == (
            "degraded", ["conversations are not stored: the database does not answer"],
        )  # fmt: skip
        answer = chat.ask(nobody).json()
        assert (answer["message"], answer["stored"], answer["conversation"]) == (ANSWER, False, None)
        assert answer["notes"] == ["this was not stored: the database does not answer"]
        for last in (
            chat.ask(nobody, conversation=str(uuid.uuid4())).json(),
            events(chat.ask(nobody, stream=True).text)[-1][1],
        ):
            assert last["notes"][-1] == "this was not stored: the database does not answer"
        with chat.socket(nobody) as socket:
            socket.send_json({"content": "Which shoes?"})
            last = [socket.receive_json() for _ in range(4)][-1]
            assert last["notes"] == ["this was not stored: the database does not answer"]
        with chat.socket(nobody, last["conversation"]) as socket:
            socket.send_json({"content": "And which bag?"})
            assert frames(socket)[-1]["type"] == "done"
        assert len(chat.runner.conversations[-1]) == 3, "this process remembers it"


@pytest.mark.slow
def test_what_was_acknowledged_as_stored_is_there_after_the_database_was_killed_and_frozen(tmp_path: Path) -> None:
    server = LocalServer(tmp_path / "postgres")
    acknowledged: dict[str, str] = {}
    refused = 0
    with server.running(START_SECONDS, tmp_path / "log"):
        upgrade(server.url())
        ada = person(server.url(), "ada@example.org")
        with serving(server.url()) as chat:

            def ask(number: int) -> None:
                nonlocal refused
                answer = chat.ask(ada, f"Question {number}?")
                assert answer.status_code == 200, answer.text
                if answer.json()["stored"]:
                    acknowledged[answer.json()["conversation"]] = f"Question {number}?"
                else:
                    refused += 1

            for number in range(20):
                ask(number)
            family(server)[0].kill()
            ask(20)
            until(lambda: not chat.client.get("/health").json()["reasons"])
            for number in range(21, 40):
                ask(number)
            frozen = family(server)
            for process in frozen:
                process.suspend()
            refused_before = refused
            ask(40)  # is answered before the database goes on
            assert refused == refused_before + 1
            assert chat.client.get("/health").json()["reasons"]
            for process in frozen:
                process.resume()
            until(lambda: not chat.client.get("/health").json()["reasons"])
            ask(41)
            for conversation, question in acknowledged.items():
                assert chat.stored(ada, conversation) == [user(question), ANSWER]
            assert len(acknowledged) >= 20, f"{refused} were told that they are not"
