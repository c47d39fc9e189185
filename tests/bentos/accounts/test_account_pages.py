"""Administrators open the operators' pages with a cookie; nobody else does, and the cookie opens nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from httpx import Response

from bentos.accounts.pages import COOKIE
from tests.bentos.accounts.conftest import EMAIL, PASSWORD, Api, Tokens, serving


@pytest.fixture
def api(database_url: str) -> Iterator[Api]:
    yield from serving(database_url, base_url="https://testserver")  # the cookie is for HTTPS alone


@pytest.fixture
def admin(ada: Tokens, database_url: str) -> Tokens:
    _set_role(database_url, "admin")
    return ada


def _set_role(database_url: str, role: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE users SET role = %s WHERE email = %s", (role, EMAIL))


def _sign_in(api: Api, password: str = PASSWORD, next: str = "/grafana/d/a") -> Response:
    form = {"username": EMAIL, "password": password, "next": next}
    return api.client.post("/pages", data=form, follow_redirects=False)


@pytest.mark.usefixtures("admin")
def test_an_admin_signs_in_on_the_page_and_out_again(api: Api) -> None:
    assert 'name="password"' in api.client.get("/pages").text
    assert api.client.get("/pages/admission").status_code == 401
    signed_in = _sign_in(api)
    assert (signed_in.status_code, signed_in.headers["location"]) == (303, "/grafana/d/a")
    cookie = signed_in.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "Secure", "SameSite=strict", "Path=/", "Max-Age=28800"))
    admitted = api.client.get("/pages/admission")
    assert (admitted.status_code, admitted.headers["x-aura-user"]) == (204, EMAIL)
    value = api.client.cookies[COOKIE]
    assert api.client.post("/pages/sign-out", follow_redirects=False).status_code == 303
    api.client.cookies.clear()
    api.client.cookies.set(COOKIE, value)  # kept by a thief
    assert api.client.get("/pages/admission").status_code == 401


def test_the_cookie_is_no_access_token_and_an_access_token_is_no_cookie(api: Api, admin: Tokens) -> None:
    _sign_in(api)
    value = api.client.cookies[COOKIE]
    assert api.client.get("/me", headers={"authorization": f"Bearer {value}"}).status_code == 401
    assert api.client.get("/me").status_code == 401
    api.client.cookies.clear()
    api.client.cookies.set(COOKIE, admin.access)
    assert api.client.get("/pages/admission").status_code == 401


def test_programs_send_an_access_token(api: Api, admin: Tokens) -> None:
    assert api.client.get("/pages/admission", headers=admin.headers).status_code == 204


def test_others_are_refused(api: Api, ada: Tokens) -> None:
    assert api.client.get("/pages/admission", headers=ada.headers).status_code == 403
    refused = _sign_in(api)
    assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)
    assert "role admin" in refused.text
    wrong = _sign_in(api, password="wrong horse battery staple")
    assert (wrong.status_code, "set-cookie" in wrong.headers) == (403, False)


@pytest.mark.usefixtures("admin")
def test_a_role_that_is_taken_away_ends_it_at_once(api: Api, database_url: str) -> None:
    _sign_in(api)
    assert api.client.get("/pages/admission").status_code == 204
    _set_role(database_url, "user")
    assert api.client.get("/pages/admission").status_code == 403


@pytest.mark.usefixtures("admin")
@pytest.mark.parametrize(
    "next", ["https://evil.example/", "//evil.example/mlflow/", "/mlflow/\\..//evil.example", "/mlflow/\r\nx: y", ""]
)
def test_one_is_sent_to_no_other_address(api: Api, next: str) -> None:
    assert _sign_in(api, next=next).headers["location"] == "/mlflow/"


def test_what_is_given_is_shown_as_text(api: Api) -> None:
    assert "<script>" not in api.client.get("/pages", params={"next": '"><script>'}).text
