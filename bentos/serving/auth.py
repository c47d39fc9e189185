"""Who calls: every request needs an access token where `AURA_AUTH` is `on`; where it is `off`, only this machine is answered.

`off` is the default, for a laptop: requests without a token are answered when they come in over a loopback address and from no
other machine through a proxy, and no others, whatever they carry. A token that is sent is checked in either case; a key of
another kind, as OpenAI's clients send one, counts as none. A proxy on the same machine must say from where a request comes
(`X-Forwarded-For`), or `AURA_AUTH=on` be set.

A WebSocket of a browser, which can set no header, offers two subprotocols, `aura` and `aura.bearer.TOKEN`; the service takes the
first. A token never stands in a URL, which proxies and browsers write down.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from aura.errors import AuraError, ForbiddenError, SettingsError, UnauthenticatedError
from aura.proxies import is_loopback
from bentos.serving.errors import error_response
from bentos.serving.request_log import logger
from bentos.serving.tokens import Caller, Keys, PublishedKeys, SharedSecret, check_token, is_access_token, missing

AUTH, JWKS_URL, SECRET = "AURA_AUTH", "AURA_JWKS_URL", "JWT_SECRET_KEY"
_MIN_SECRET_BYTES = 32
_OPEN = ("/health", "/openapi.json", "/docs")
_CAME_FROM, _PROXY_HEADERS = ("x-forwarded-for", "x-real-ip"), ("forwarded", "via")
_SUBPROTOCOL, _BEARER = "aura", "aura.bearer."
_CALLER = "aura.caller"
_POLICY_VIOLATION = 1008


@dataclass(frozen=True, kw_only=True)
class AuthRules:
    """Whom a service answers.

    Attributes:
        required: whether a request needs a token; otherwise it must come from this machine.
        keys: keys of tokens; None: no token can be checked.
    """

    required: bool
    keys: Keys | None


def read_auth(environ: Mapping[str, str] | None = None) -> AuthRules:
    """The rules that the environment gives: `AURA_AUTH`, and `AURA_JWKS_URL` or `JWT_SECRET_KEY`.

    Raises:
        SettingsError: they contradict each other, or the secret is too short.
    """
    environ = os.environ if environ is None else environ
    required = _required(environ)
    secret, url = shared_secret(environ), environ.get(JWKS_URL)
    keys: Keys | None = SharedSecret(secret) if secret else PublishedKeys(url) if url else None
    if required and keys is None:
        raise SettingsError(
            f"{AUTH} is on, and there is nothing to check tokens with",
            hint=f"set {JWKS_URL} to the address of the accounts service's keys (.../api/v1/accounts/jwks)",
        )
    return AuthRules(required=required, keys=keys)


def _required(environ: Mapping[str, str]) -> bool:
    """Raises SettingsError when `AURA_AUTH` is neither on nor off."""
    mode = environ.get(AUTH) or "off"
    if mode not in ("on", "off"):
        raise SettingsError(f"{AUTH} is {mode!r}", hint=f"set {AUTH} to on or off")
    return mode == "on"


def shared_secret(environ: Mapping[str, str]) -> str:
    """`JWT_SECRET_KEY`, or nothing.

    Raises:
        SettingsError: it could be guessed.
    """
    secret = environ.get(SECRET, "")
    if secret and len(secret.encode()) < _MIN_SECRET_BYTES:
        raise SettingsError(
            f"{SECRET} has {len(secret.encode())} bytes, and tokens signed with it could be forged",
            hint=f"take {_MIN_SECRET_BYTES} random ones or more: openssl rand -hex 32",
        )
    return secret


def warn_if_off(rules: AuthRules) -> None:
    """Say in the log that nobody is asked who they are."""
    if not rules.required:
        logger.warning(
            "%s is off: whoever reaches this machine's loopback addresses is answered, and nobody else", AUTH
        )


class Authentication:
    """Middleware that refuses requests before their bodies are read.

    Args:
        rules: called at each request, because the environment is not read at import.
        open_paths: paths below the application that need no token, besides health and docs.
    """

    def __init__(self, app: ASGIApp, rules: Callable[[], AuthRules], open_paths: Collection[str] = ()) -> None:
        self._app, self._rules, self._open_paths = app, rules, frozenset(open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or _is_open(scope):
            await self._app(scope, receive, send)
            return
        try:
            scope[_CALLER] = await self._caller(scope)
        except AuraError as error:
            await _refuse(error, scope, receive, send)
            return
        await self._app(scope, receive, _accepting(scope, send))

    async def _caller(self, scope: Scope) -> Caller | None:
        rules = self._rules()
        if not rules.required:
            _refuse_other_machines(scope)
        if _path(scope) in self._open_paths:
            return None
        token = _token(scope)
        if rules.required and token is None:
            raise missing()
        # What is no access token of ours says nothing where nobody is asked: clients of OpenAI's interface always send a key.
        if token is None or not (rules.required or is_access_token(token)):
            return None
        if rules.keys is None:
            raise UnauthenticatedError(
                "this service cannot check a token", hint=f"its operator sets {JWKS_URL} or {SECRET}; or send no token"
            )
        return await check_token(token, rules.keys)


def caller_of(connection: HTTPConnection) -> Caller:
    """Whom the request's token speaks for.

    Raises:
        UnauthenticatedError: it has none.
    """
    if (caller := caller_if_any(connection)) is None:
        raise missing()
    return caller


def caller_if_any(connection: HTTPConnection) -> Caller | None:
    """Whom the request's token speaks for; None where it has none."""
    caller: Caller | None = connection.scope.get(_CALLER)
    return caller


def token_of(connection: HTTPConnection) -> str | None:
    """The token of a request that has been checked, to call another service in its caller's name; None where it has none."""
    return _token(connection.scope) if caller_if_any(connection) else None


SignedIn = Annotated[Caller, Depends(caller_of)]
"""Parameter of an endpoint that answers nobody without a token, also where `AURA_AUTH` is off."""


def document_security(app: FastAPI, rules: Callable[[], AuthRules], open_paths: Collection[str]) -> None:
    """Say in the OpenAPI document which endpoints take a token, and whether they need one."""
    plain = app.openapi

    def documented() -> dict[str, Any]:
        schema = plain()
        schema.setdefault("components", {})["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        }
        security: list[dict[str, list[str]]] = [{"token": []}, *([] if rules().required else [{}])]
        for path, operations in schema["paths"].items():
            if path not in (*_OPEN, *open_paths):
                for operation in operations.values():
                    operation["security"] = security
        return schema

    app.openapi = documented  # type: ignore[method-assign]


def is_this_machine(host: str) -> bool:
    """Whether an address or name is a loopback one: of what listens there alone, or calls from there."""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def refuse_open_door(host: str, environ: Mapping[str, str] | None = None, *, setting: str = "serving.host") -> None:
    """Refuse to answer a network without asking who calls.

    Args:
        setting: that `host` comes from.

    Raises:
        SettingsError: the address is not a loopback one, and `AURA_AUTH` is off.
    """
    # Which keys check the tokens is not asked here: the process that starts the services says it to them.
    if not _required(os.environ if environ is None else environ) and not is_this_machine(host):
        raise SettingsError(
            f"{setting} is {host}, and {AUTH} is off: everybody who reaches this machine would be answered",
            hint=f"set {AUTH}=on, so that every request needs a token, or {setting}=127.0.0.1",
        )


def _is_open(scope: Scope) -> bool:
    path = _path(scope)
    return any(path == open_path or path.startswith(f"{open_path}/") for open_path in _OPEN)


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _token(scope: Scope) -> str | None:
    """The token of a request; None when it has none.

    Raises:
        UnauthenticatedError: what it has is no bearer token.
    """
    given = Headers(scope=scope).get("authorization")
    if given is None:
        offered = [name for name in scope.get("subprotocols", ()) if name.startswith(_BEARER)]
        return offered[0].removeprefix(_BEARER) if offered else None
    scheme, _, token = given.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise UnauthenticatedError("the authorization is no bearer token", hint="send `Authorization: Bearer TOKEN`")
    return token.strip()


def _refuse_other_machines(scope: Scope) -> None:
    """Raises ForbiddenError unless a request came in over a loopback address; of what a proxy brings, from this machine.

    What is no IP address is no network: a Unix socket, or a test. The name that the caller used is looked at too: a page of
    the web may let its own name point here.
    """
    headers = Headers(scope=scope)
    address = str((scope.get("server") or ("",))[0])
    host = headers.get("host", "").rpartition("@")[2]
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    foreign_address = (":" in address or address.replace(".", "").isdigit()) and not is_loopback(
        f"http://{_in_url(address)}"
    )
    foreign_name = "." in name and not is_loopback(f"http://{name}")
    came_from = [
        part.strip() for header in _CAME_FROM for value in headers.getlist(header) for part in value.split(",")
    ]
    foreign_caller = not all(map(is_this_machine, came_from)) or any(header in headers for header in _PROXY_HEADERS)
    if foreign_address or foreign_name or foreign_caller:
        raise ForbiddenError(
            "this service asks nobody who they are, so it answers its own machine alone",
            hint=f"its operator sets {AUTH}=on; or call http://127.0.0.1 there",
        )


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _accepting(scope: Scope, send: Send) -> Send:
    """`send`, with the subprotocol that a browser waits for when it has offered some."""
    if _SUBPROTOCOL not in scope.get("subprotocols", ()):
        return send

    async def send_accepting(message: Message) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol"):
            message = {**message, "subprotocol": _SUBPROTOCOL}
        await send(message)

    return send_accepting


async def _refuse(error: AuraError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await error_response(error)(scope, receive, send)
        return
    websocket = WebSocket(scope, receive, send)
    if "websocket.http.response" in scope.get("extensions", {}):
        await websocket.send_denial_response(error_response(error))
    else:
        await websocket.close(_POLICY_VIOLATION, error.code)
