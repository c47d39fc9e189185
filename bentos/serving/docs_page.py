"""The docs page of a service, from files that the service itself serves: no CDN, no server of anybody else.

The files are those of the Swagger UI 5 that BentoML's wheel holds for its own page (Apache-2.0), so that no further package
and no copy in this repository is needed. BentoML serves them at its root, which a gateway that forwards one path does not.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from bentoml._internal import server
from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse, RedirectResponse
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

_FOLDER = Path(server.__file__).parent / "static_content"
_SCRIPT, _STYLE, _ICON = "swagger-ui-bundle.js", "swagger-ui.css", "favicon-light-32x32.png"


def add_docs_page(app: FastAPI) -> None:
    """Serve the page at `/docs`, and its files below."""

    async def docs(request: Request) -> Response:
        root = request.scope.get("root_path", "").rstrip("/")
        return get_swagger_ui_html(
            openapi_url=f"{root}{app.openapi_url}", title=app.title,
            swagger_js_url=f"{root}/docs/{_SCRIPT}", swagger_css_url=f"{root}/docs/{_STYLE}",
            swagger_favicon_url=f"{root}/docs/{_ICON}",
            # Otherwise the page asks a server of Swagger's to check the schema.
            swagger_ui_parameters={"validatorUrl": None},
        )  # fmt: skip

    app.add_api_route("/docs", docs, include_in_schema=False)
    for name in (_SCRIPT, _STYLE, _ICON):
        app.add_api_route(f"/docs/{name}", _file(name), include_in_schema=False)


def root_page(app: FastAPI, path: str) -> Starlette:
    """Application for the root of a service's port, whose own application is at `path`.

    `/health` is answered as below `path`. `/` leads to the docs, in place of BentoML's page, which loads Google's tag manager.
    """

    async def to_docs(_request: Request) -> Response:
        return RedirectResponse(f"{path}/docs")

    return Starlette(routes=[Route("/", to_docs), Route("/health", _Moved(app, path))])


class _Moved:
    """Endpoint that answers as an application does below another path. An object: Starlette hands it the bare request."""

    def __init__(self, app: FastAPI, path: str) -> None:
        self._app, self._path = app, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = f"{self._path}{scope['path']}"
        await self._app({**scope, "path": path, "raw_path": path.encode(), "root_path": self._path}, receive, send)


def _file(name: str) -> Callable[[], Coroutine[Any, Any, Response]]:
    async def file() -> Response:
        return FileResponse(_FOLDER / name)

    return file
