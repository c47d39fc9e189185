"""Accounts over HTTP: from the registration to the deletion."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator

import psycopg
import pytest

from bentos.accounts.settings import AccountsSettings
from tests.bentos.accounts.conftest import EMAIL, PASSWORD, QUICK, Api, Tokens, serving, tokens_of

_NOBODYS = {"alembic_version", "predictions"}


def rows(url: str) -> dict[str, int]:
    """Rows of every table, but for the number of the schema and the prediction log, whose rows are nobody's."""
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone() for (name,) in names}
    return {name: int(count[0]) for name, count in counts.items() if name not in _NOBODYS and count}


def test_register_sign_in_and_see_oneself(api: Api) -> None:
    answer = api.register("  Ada@EXAMPLE.org ")
    assert (answer.status_code, answer.json()) == (202, {"email": EMAIL})
    me = api.me(api.sign_in("ADA@example.ORG")).json()
    assert (me["email"], me["role"]) == (EMAIL, "user")


@pytest.mark.usefixtures("ada")
def test_a_second_registration_says_the_same_and_changes_nothing(api: Api) -> None:
    first, again = api.register("new@example.org"), api.register(EMAIL, "another password")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json().keys() == again.json().keys()
    assert api.token(EMAIL, "another password").status_code == 401
    assert api.token().status_code == 200


@pytest.mark.usefixtures("ada")
def test_unknown_user_and_wrong_password_are_told_alike(api: Api) -> None:
    answers = [api.token("nobody@example.org"), api.token(EMAIL, "wrong password"), api.token("no address")]
    told = [{**answer.json()["error"], "request_id": ""} for answer in answers]
    assert [answer.status_code for answer in answers] == [401] * 3
    assert told[0] == told[1] == told[2]
    assert answers[0].headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("x" * 73, "the password has 73 bytes, and bcrypt reads 72"),
        ("ö" * 37, "the password has 74 bytes"),
        ("short", "the password has 5 characters"),
        ("with a \0 inside", "NUL"),
    ],
)
def test_a_password_that_bcrypt_would_cut_is_refused_in_words(api: Api, password: str, problem: str) -> None:
    answer = api.register(password=password)
    assert answer.status_code == 400
    assert problem in answer.json()["error"]["message"]
    assert password not in answer.text
    assert api.token(password=password).status_code == 401


def test_a_password_of_72_bytes_counts_to_its_end(api: Api) -> None:
    assert api.register(password="x" * 72).status_code == 202
    assert api.token(password="x" * 72).status_code == 200
    assert api.token(password="x" * 71 + "y").status_code == 401


def test_a_password_is_the_same_however_a_keyboard_writes_it(api: Api) -> None:
    assert api.register(password="cafe\u0301 au lait").status_code == 202
    assert api.token(password="caf\u00e9 au lait").status_code == 200


@pytest.mark.parametrize("email", ["ada", "ada@", "ada@example", "a b@example.org", "ada@example.org\nx"])
def test_what_is_no_address_is_refused(api: Api, email: str) -> None:
    answer = api.register(email)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


def test_each_refresh_gives_a_new_pair(api: Api, ada: Tokens) -> None:
    second = tokens_of(api.refresh(ada.refresh))
    third = tokens_of(api.refresh(second.refresh))
    assert len({ada.refresh, second.refresh, third.refresh}) == 3
    assert api.me(third).status_code == 200


def test_a_token_that_comes_twice_ends_the_session_for_both(api: Api, ada: Tokens) -> None:
    other = api.sign_in()
    stolen = ada.refresh
    second = tokens_of(api.refresh(stolen))
    assert api.refresh(stolen).status_code == 401
    assert api.refresh(second.refresh).status_code == 401, "nobody can tell the thief from the owner"
    assert api.me(second).status_code == 401
    assert api.me(other).status_code == 200, "other sessions go on"


def test_of_refreshes_at_once_with_one_token_one_succeeds_at_most(api: Api, ada: Tokens) -> None:
    async def all_at_once() -> list[int]:
        answers = await asyncio.gather(*(asyncio.to_thread(api.refresh, ada.refresh) for _ in range(8)))
        return sorted(answer.status_code for answer in answers)

    assert asyncio.run(all_at_once()) == [200] + [401] * 7
    assert api.me(ada).status_code == 401, "one token came twice"


@pytest.mark.parametrize("token", ["", "x", "x" * 256, "\ud800"])
def test_an_unknown_refresh_token_is_refused(api: Api, token: str) -> None:
    assert api.client.post(
        "/refresh", content=f'{{"refresh_token": "{token.encode("unicode_escape").decode()}"}}',
        headers={"content-type": "application/json"},
    ).status_code == 401  # fmt: skip


def test_signing_out_ends_this_session_or_all(api: Api, ada: Tokens) -> None:
    here, there, elsewhere = ada, api.sign_in(), api.sign_in()
    assert api.client.post("/sign-out", json={}, headers=here.headers).status_code == 204
    assert (api.me(here).status_code, api.refresh(here.refresh).status_code) == (401, 401)
    assert api.me(there).status_code == 200
    assert api.client.post("/sign-out", json={"everywhere": True}, headers=there.headers).status_code == 204
    assert [api.me(tokens).status_code for tokens in (there, elsewhere)] == [401, 401]
    assert api.refresh(elsewhere.refresh).status_code == 401


def test_a_changed_password_ends_the_other_sessions(api: Api, ada: Tokens) -> None:
    other = api.sign_in()
    body = {"current_password": "wrong", "new_password": "a new password"}
    assert api.client.post("/password", json=body, headers=ada.headers).status_code == 400
    body["current_password"] = PASSWORD
    assert api.client.post("/password", json=body, headers=ada.headers).status_code == 204
    assert (api.me(ada).status_code, api.me(other).status_code) == (200, 401)
    assert (api.token().status_code, api.token(password="a new password").status_code) == (401, 200)


def test_a_deleted_account_leaves_no_row(api: Api, ada: Tokens, database_url: str) -> None:
    assert api.client.post("/deletion", json={"password": "wrong"}, headers=ada.headers).status_code == 400
    assert all(rows(database_url)[table] > 0 for table in ("users", "sessions", "refresh_tokens"))
    answer = api.client.post("/deletion", json={"password": PASSWORD}, headers=ada.headers)
    assert answer.status_code == 200
    assert answer.json()["remains"]
    assert set(rows(database_url).values()) == {0}
    assert (api.me(ada).status_code, api.refresh(ada.refresh).status_code, api.token().status_code) == (401, 401, 401)


def test_an_admin_alone_sees_who_has_an_account(api: Api, ada: Tokens, database_url: str) -> None:
    api.register("eve@example.org")
    assert api.client.get("/users", headers=ada.headers).status_code == 403
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE users SET role = 'admin' WHERE email = %s", (EMAIL,))
    page = api.client.get("/users", params={"limit": 1}, headers=ada.headers).json()
    assert ([account["email"] for account in page["accounts"]], page["after"]) == ([EMAIL], EMAIL)
    rest = api.client.get("/users", params={"after": page["after"]}, headers=ada.headers).json()
    assert ([account["email"] for account in rest["accounts"]], rest["after"]) == (["eve@example.org"], None)


def test_a_hash_of_another_cost_is_renewed_at_the_next_sign_in(database_url: str) -> None:
    for cost in (4, 5):
        for api in serving(database_url, QUICK.model_copy(update={"bcrypt_cost": cost})):
            api.register()
            assert api.token().status_code == 200
        with psycopg.connect(database_url) as connection:
            [found] = connection.execute("SELECT password_hash FROM users").fetchone() or ()
        assert found.startswith(f"$2b$0{cost}$")


@pytest.fixture
def strict(database_url: str) -> Iterator[Api]:
    limits = {"attempts_per_address": "12/minute", "attempts_per_name": "3/minute"}
    yield from serving(database_url, QUICK.model_copy(update=limits), client=("192.0.2.1", 5000))


def from_address(api: Api, address: str) -> Api:
    """The same service, called from another address."""
    transport = api.client._transport
    transport.client = (address, 5000)  # type: ignore[attr-defined]
    return api


def test_guessing_at_a_name_is_limited_and_its_owner_at_home_is_not_locked_out(strict: Api) -> None:
    strict.register()
    assert strict.token().status_code == 200
    for attempt in range(5):
        answer = from_address(strict, f"198.51.100.{attempt}").token(password="a guess of many")
        assert answer.status_code == (401 if attempt < 2 else 429), "the first sign-in counts as one from elsewhere"
    assert (answer.json()["error"]["code"], int(answer.headers["retry-after"]) > 0) == ("too_many_attempts", True)
    assert from_address(strict, "203.0.113.9").token().status_code == 429, "nobody can guess on from elsewhere"
    assert from_address(strict, "192.0.2.77").token().status_code == 200, "the owner has been in this network before"


def test_trying_many_names_is_limited_per_address(strict: Api) -> None:
    answers = [strict.token(f"user{number}@example.org").status_code for number in range(14)]
    assert answers == [401] * 12 + [429] * 2
    assert from_address(strict, "198.51.100.1").token("user@example.org").status_code == 401


@pytest.mark.slow
def test_unknown_user_and_wrong_password_take_as_long(database_url: str) -> None:
    """The medians of interleaved tries differ by less than the tries of one kind do among themselves."""
    for api in serving(database_url, AccountsSettings(**{**QUICK.model_dump(), "bcrypt_cost": 8})):
        api.register()
        seconds: dict[str, list[float]] = {EMAIL: [], "nobody@example.org": []}
        for _ in range(200):
            for email, taken in seconds.items():
                began = time.perf_counter()
                assert api.token(email, "wrong password").status_code == 401
                taken.append(time.perf_counter() - began)
        known, unknown = (statistics.quantiles(taken, n=4) for taken in seconds.values())
        assert abs(known[1] - unknown[1]) < max(known[2] - known[0], unknown[2] - unknown[0])
