"""Who may open the operators' pages behind the gateway (MLflow, Prefect, Grafana): administrators, who sign in on a page here.

A browser sends no bearer token when it opens a page, so it gets a cookie: out of reach of scripts, for HTTPS alone, and not sent
along from pages of another address (`SameSite=Strict`, which is what keeps such a page from acting in an administrator's name).
It holds a token of its own kind, which no service takes for an access token, and whose session is looked up at each request:
a sign-out, a changed password or a role that was taken away ends it at once. The gateway asks `GET pages/admission` before it
passes anything on (nginx's `auth_request`); programs may send an administrator's access token instead.
"""

from __future__ import annotations

import html
import re
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from pydantic import SecretStr

from aura.errors import ForbiddenError, UnauthenticatedError
from bentos.accounts.access_tokens import AccessTokens
from bentos.accounts.accounts import Accounts
from bentos.serving.tokens import PAGE_TOKEN_TYPE, Caller, check_token, missing
from stores.users import User

COOKIE = "aura_pages"
OPEN_PATHS = ("/pages", "/pages/admission", "/pages/sign-out")
"""They check who calls themselves."""
_PAGES = ("mlflow", "prefect", "grafana")
_BEHIND_GATEWAY = re.compile(rf"/({'|'.join(_PAGES)})/[A-Za-z0-9/._~-]*")
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "cache-control": "no-store",
}
_FORM = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Aura: sign in</title>
<style>body{{font:16px system-ui;max-width:22rem;margin:15vh auto;padding:0 1rem}}
input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.5rem;margin:.25rem 0 1rem}}p{{color:#a00}}</style>
<h1>Aura</h1><p role="alert">{problem}</p>
<form method="post"><input type="hidden" name="next" value="{next}">
<label>E-mail address<input name="username" type="email" autocomplete="username" required autofocus></label>
<label>Password<input name="password" type="password" autocomplete="current-password" required></label>
<button>Sign in</button></form></html>"""

router = APIRouter(include_in_schema=False)  # pages for people, and a question of the gateway's


class PageSessions:
    """Signs administrators in and out of the operators' pages.

    Args:
        accounts: who people are.
        tokens: signs what the cookie holds.
        seconds: how long a cookie is good for.
    """

    def __init__(self, accounts: Accounts, tokens: AccessTokens, seconds: float) -> None:
        self._accounts, self._tokens, self.seconds = accounts, tokens, round(seconds)

    async def sign_in(self, email: str, password: str, address: str) -> str:
        """A token for the cookie.

        Raises:
            UnauthenticatedError: as `Accounts.sign_in`.
            TooManyAttemptsError: as `Accounts.sign_in`.
            ForbiddenError: this account is no administrator's.
        """
        pair = await self._accounts.sign_in(email, password, address)
        caller = await check_token(pair.access_token, self._tokens)
        try:
            _require_admin(caller.role)
        except ForbiddenError:
            await self._accounts.sign_out(caller, everywhere=False)
            raise
        return self._tokens.signed(caller, PAGE_TOKEN_TYPE, self.seconds)

    async def admin(self, request: Request) -> User:
        """The administrator who opens a page.

        Raises:
            UnauthenticatedError: nobody has signed in, or the session is over.
            ForbiddenError: it is somebody else.
        """
        user = await self._accounts.user(await self.caller(request))
        _require_admin(user.role)
        return user

    async def caller(self, request: Request) -> Caller:
        """Whom the cookie, or an access token, speaks for.

        Raises:
            UnauthenticatedError: there is none, or it is not valid.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return await check_token(token.strip(), self._tokens)
        if cookie := request.cookies.get(COOKIE):
            return await check_token(cookie, self._tokens, PAGE_TOKEN_TYPE)
        raise missing()

    async def sign_out(self, request: Request) -> None:
        """End the session of the cookie."""
        await self._accounts.sign_out(await self.caller(request), everywhere=False)


def _require_admin(role: str) -> None:
    if role != "admin":
        raise ForbiddenError("this is for the role admin", hint="an operator gives it: aura accounts role EMAIL admin")


def _sessions(request: Request) -> PageSessions:
    sessions: PageSessions = request.app.state.pages
    return sessions


@router.get("/pages")
async def form(next: str = "") -> Response:
    """The page to sign in."""
    return _form(next)


@router.post("/pages")
async def sign_in(
    request: Request,
    username: Annotated[str, Form(max_length=254)],
    password: Annotated[SecretStr, Form(max_length=4096)],
    next: Annotated[str, Form()] = "",
) -> Response:
    """Sign in; the cookie, and on to the page that was asked for."""
    sessions, address = _sessions(request), request.client.host if request.client else ""
    try:
        token = await sessions.sign_in(username, password.get_secret_value(), address)
    except (UnauthenticatedError, ForbiddenError) as error:
        return _form(next, error.message, status=403)
    answer = RedirectResponse(_destination(next), status_code=303, headers=_HEADERS)
    answer.set_cookie(COOKIE, token, max_age=sessions.seconds, secure=True, httponly=True, samesite="strict")
    return answer


@router.post("/pages/sign-out")
async def sign_out(request: Request) -> Response:
    """End the session, and take the cookie back."""
    await _sessions(request).sign_out(request)
    answer = RedirectResponse("../pages", status_code=303, headers=_HEADERS)
    answer.delete_cookie(COOKIE, secure=True, httponly=True, samesite="strict")
    return answer


@router.get("/pages/admission")
async def admission(request: Request) -> Response:
    """Whether a request for an operators' page may pass, and whose it is."""
    user = await _sessions(request).admin(request)
    return Response(status_code=204, headers={"x-aura-user": user.email})


def _form(next: str, problem: str = "", status: int = 200) -> Response:
    text = _FORM.format(problem=html.escape(problem), next=html.escape(_destination(next)))
    return HTMLResponse(text, status, headers=_HEADERS)


def _destination(next: str) -> str:
    """A page behind the gateway; never an address of somebody else."""
    return next if _BEHIND_GATEWAY.fullmatch(next) else f"/{_PAGES[0]}/"
