"""The FastAPI application that every service mounts: docs, request ids, one error body, a limit on bodies."""

from __future__ import annotations

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from bentos.serving.errors import ErrorBody, add_error_handlers
from bentos.serving.middleware import add_middleware
from bentos.serving.settings import ServingSettings

_ERRORS = (400, 413, 422, 500, 503)


def make_app(title: str, description: str) -> FastAPI:
    """Application with docs at `docs`; the service that mounts it calls `apply_limits` when it starts."""
    app = FastAPI(
        title=title, description=description, version="1", docs_url="/docs", redoc_url=None,
        responses={status: {"model": ErrorBody} for status in _ERRORS},
    )  # fmt: skip
    apply_limits(app, ServingSettings())
    add_middleware(app, max_body_bytes=lambda: int(app.state.max_body_bytes))
    add_error_handlers(app)
    return app


def apply_limits(app: FastAPI, serving: ServingSettings) -> None:
    """Limit bodies as the settings say. BentoML needs the application before the settings are read."""
    app.state.max_body_bytes = serving.max_body_bytes


def answer_unknown_paths(app: FastAPI) -> None:
    """Give unknown paths the error body too; call it when all routes are there.

    BentoML hands a request to the application only if one of its routes matches, so this route matches every path.
    """

    async def unknown(request: Request) -> Response:
        if any(route.matches(request.scope)[0] is Match.PARTIAL for route in app.router.routes):
            raise HTTPException(405, f"{request.method} is not what {request.url.path} takes")
        raise HTTPException(404, f"there is no {request.url.path}")

    app.add_route("/{path:path}", unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)
