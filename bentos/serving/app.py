"""The FastAPI application that every service mounts: docs, request ids, one error body, limits on bodies, HTTP's manners."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fastapi import FastAPI, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Receive, Scope, Send

from bentos.serving.auth import AuthRules, document_security, read_auth, warn_if_off
from bentos.serving.docs_page import add_docs_page
from bentos.serving.errors import ErrorBody, add_error_handlers
from bentos.serving.media_types import TypedRoute
from bentos.serving.middleware import add_middleware
from bentos.serving.settings import ServingSettings

_ERRORS = (400, 401, 403, 413, 415, 422, 429, 500, 503)
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def make_app(
    title: str,
    description: str,
    image_paths: Collection[str] = (),
    open_paths: Collection[str] = (),
    error_body: type[BaseModel] = ErrorBody,
) -> FastAPI:
    """Application with docs at `docs`; the service that mounts it calls `apply_settings` when it starts.

    Args:
        image_paths: endpoints whose bodies carry images; the limit on bodies is higher there.
        open_paths: endpoints that need no token; health and docs never do.
        error_body: what the docs say of errors, for an application that rewrites them.
    """
    app = FastAPI(
        title=title, description=description, version="1", docs_url=None, redoc_url=None,
        responses={status: {"model": error_body} for status in _ERRORS},
    )  # fmt: skip
    app.router.route_class = TypedRoute
    app.state.serving, app.state.auth = ServingSettings(), None

    def auth_rules() -> AuthRules:
        if app.state.auth is None:
            app.state.auth = read_auth()
        rules: AuthRules = app.state.auth
        return rules

    def max_body_bytes(scope: Scope) -> int:
        serving: ServingSettings = app.state.serving
        return serving.max_body_bytes if _path(scope) in image_paths else serving.max_json_bytes

    add_middleware(app, max_body_bytes, lambda: app.state.serving, auth_rules, open_paths)
    add_error_handlers(app)
    add_docs_page(app)
    document_security(app, auth_rules, open_paths)
    return app


def apply_settings(app: FastAPI, serving: ServingSettings, auth: AuthRules | None = None) -> None:
    """Limit bodies and allow origins as the settings say. BentoML needs the application before they are read.

    Args:
        auth: whom the service answers; without it, whom the environment says.

    Raises:
        SettingsError: what `read_auth` raises.
    """
    app.state.serving = serving
    app.state.auth = auth or read_auth()
    warn_if_off(app.state.auth)


def answer_unknown_paths(app: FastAPI) -> None:
    """Give unknown paths and methods the error body too; call it when all routes are there.

    BentoML hands a request to the application only if one of its routes matches, so this route matches every path.
    """
    unknown = _Unknown([*app.router.routes])
    app.router.routes.append(Route("/{path:path}", unknown, include_in_schema=False))


class _Unknown:
    """Endpoint for what no route takes. An object, because Starlette gives a function the methods GET and HEAD alone."""

    def __init__(self, routes: Sequence[BaseRoute]) -> None:
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["path"], scope["method"]
        # Asked, not read: FastAPI keeps the routes of a class in a router of their own, which names no methods.
        methods = {name for name in _METHODS if self._takes({**scope, "method": name})}
        if not methods:
            raise HTTPException(404, f"there is no {path}")
        allowed = ", ".join(sorted(methods | {"OPTIONS"} | ({"HEAD"} if "GET" in methods else set())))
        if method != "OPTIONS":
            raise HTTPException(405, f"{path} does not take {method}, but {allowed}", {"allow": allowed})
        await Response(status_code=204, headers={"allow": allowed})(scope, receive, send)

    def _takes(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._routes)


def _path(scope: Scope) -> str:
    """Path below the one that the application is mounted at."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
