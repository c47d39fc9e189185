"""A FastAPI application as every service mounts it: request ids, one error body, no second set of docs.

The error body is `{"error": {"code", "message", "hint", "request_id"}}` for everything that can go wrong, including what
FastAPI and BentoML raise themselves.
"""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from bentoml.exceptions import BentoMLException
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match

from aura.errors import AuraError

logger = logging.getLogger("aura.services")

_STATUS = {"invalid_request": 400, "index_not_ready": 503, "not_in_registry": 503, "busy": 503}
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
_RETRY_SECONDS = "2"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class ErrorDetail(BaseModel):
    """What went wrong and what to do."""

    code: str
    message: str
    hint: str
    request_id: str


class ErrorBody(BaseModel):
    """Body of every answer whose status is not 2xx."""

    error: ErrorDetail


def make_app(title: str, description: str) -> FastAPI:
    """Application with docs at `docs`, request ids and the error body."""
    app = FastAPI(
        title=title, description=description, version="1", docs_url="/docs", redoc_url=None,
        responses={status: {"model": ErrorBody} for status in (400, 422, 500, 503)},
    )  # fmt: skip
    app.middleware("http")(_with_request_id)
    app.add_exception_handler(AuraError, _on_aura_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(BentoMLException, _on_bento_error)
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


def error_detail(error: Exception, request_id: str) -> ErrorDetail:
    """The body's content for any exception; an unknown one tells nothing about the inside."""
    if isinstance(error, AuraError):
        return ErrorDetail(code=error.code, message=error.message, hint=error.hint, request_id=request_id)
    if isinstance(error, BentoMLException) and error.error_code in (429, 503, 504):
        return ErrorDetail(
            code="overloaded", message="the model did not get to this request in time",
            hint=f"try again in {_RETRY_SECONDS} seconds", request_id=request_id,
        )  # fmt: skip
    return ErrorDetail(
        code="internal", message="the service failed on this request",
        hint="tell the operator the request_id; the log has the details", request_id=request_id,
    )  # fmt: skip


async def _with_request_id(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    given = request.headers.get("x-request-id", "")
    request.state.request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
    try:
        response = await call_next(request)
    except Exception as error:
        logger.exception("request %s failed", request.state.request_id)
        response = _answer(500, error_detail(error, request.state.request_id))
    response.headers["x-request-id"] = request.state.request_id
    return response


def _answer(status: int, detail: ErrorDetail) -> JSONResponse:
    headers = {"retry-after": _RETRY_SECONDS} if status == 503 else None
    return JSONResponse(ErrorBody(error=detail).model_dump(), status_code=status, headers=headers)


async def _on_aura_error(request: Request, error: Exception) -> JSONResponse:
    detail = error_detail(error, request.state.request_id)
    return _answer(_STATUS.get(detail.code, 500), detail)


async def _on_bento_error(request: Request, error: Exception) -> JSONResponse:
    detail = error_detail(error, request.state.request_id)
    if detail.code == "internal":
        logger.error("request %s failed in the model part: %s", request.state.request_id, error)
    return _answer(503 if detail.code == "overloaded" else 500, detail)


async def _on_validation_error(request: Request, error: Exception) -> JSONResponse:
    problems: list[Any] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    message = "; ".join(f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in problems)
    detail = ErrorDetail(
        code="invalid_request", message=message, hint="see the docs page of this service",
        request_id=request.state.request_id,
    )  # fmt: skip
    return _answer(422, detail)


async def _on_http_error(request: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    detail = ErrorDetail(
        code=_HTTP_CODES.get(status, "invalid_request" if status < 500 else "internal"),
        message=str(getattr(error, "detail", error)), hint="see the docs page of this service",
        request_id=request.state.request_id,
    )  # fmt: skip
    return _answer(status, detail)
