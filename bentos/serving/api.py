"""A FastAPI application as every service mounts it: request ids, one error body, a limit on bodies, no second set of docs.

The error body is for everything that can go wrong, including what FastAPI and BentoML raise themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from bentoml.exceptions import BentoMLException
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from aura.errors import AuraError
from bentos.serving.body_limit import BodyLimit, BodyTooLargeError, on_body_too_large
from bentos.serving.callers import on_client_gone
from bentos.serving.error_body import MODEL_PART_LOST, ErrorBody, ErrorDetail, answer_with, error_detail
from bentos.serving.places import places
from bentos.serving.request_id import RequestId

logger = logging.getLogger("aura.services")

_STATUS = {"invalid_request": 400, "index_not_ready": 503, "not_in_registry": 503, "busy": 503}
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}


def make_app(
    title: str, description: str, max_body_bytes: Callable[[], int] = lambda: places().serving.max_body_bytes
) -> FastAPI:
    """Application with docs at `docs`, request ids, the limit on bodies and the error body."""
    app = FastAPI(
        title=title, description=description, version="1", docs_url="/docs", redoc_url=None,
        responses={status: {"model": ErrorBody} for status in (400, 413, 422, 500, 503)},
    )  # fmt: skip
    app.add_middleware(BodyLimit, limit_bytes=max_body_bytes)
    app.add_middleware(RequestId)  # the last one added sees a request first
    app.add_exception_handler(AuraError, _on_aura_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(BodyTooLargeError, on_body_too_large)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(ClientDisconnect, on_client_gone)
    for kind in (BentoMLException, *MODEL_PART_LOST):
        app.add_exception_handler(kind, _on_failed_call)
    return app


def answer_unknown_paths(app: FastAPI) -> None:
    """Give unknown paths the error body too; call it when all routes are there.

    BentoML hands a request to the application only if one of its routes matches, so there must be one that always does.
    """

    async def unknown(request: Request) -> Response:
        if any(route.matches(request.scope)[0] is Match.PARTIAL for route in app.router.routes):
            raise HTTPException(405, f"{request.method} is not what {request.url.path} takes")
        raise HTTPException(404, f"there is no {request.url.path}")

    app.add_route("/{path:path}", unknown, methods=["GET", "POST", "PUT", "PATCH", "DELETE"], include_in_schema=False)


async def _on_aura_error(request: Request, error: Exception) -> JSONResponse:
    detail = error_detail(error, request.state.request_id)
    return answer_with(_STATUS.get(detail.code, 500), detail)


async def _on_failed_call(request: Request, error: Exception) -> JSONResponse:
    """A call to the model part failed."""
    detail = error_detail(error, request.state.request_id)
    overloaded = detail.code == "overloaded"
    level = logging.WARNING if overloaded else logging.ERROR
    logger.log(level, "request %s failed in the model part: %r", request.state.request_id, error)
    return answer_with(503 if overloaded else 500, detail)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    problems: list[Any] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    message = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in problems)
    detail = ErrorDetail(
        code="invalid_request", message=message, hint="see the docs page of this service",
        request_id=request.state.request_id,
    )  # fmt: skip
    return answer_with(422, detail)


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = ErrorDetail(
        code=_HTTP_CODES.get(status, "invalid_request" if status < 500 else "internal"),
        message=str(getattr(error, "detail", error)), hint="see the docs page of this service",
        request_id=request.state.request_id,
    )  # fmt: skip
    return answer_with(status, detail)
