"""The one error body, `{"error": {"code", "message", "hint", "request_id"}}`, and how any exception becomes one."""

from __future__ import annotations

import aiohttp
from bentoml.exceptions import BentoMLException
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from aura.errors import AuraError

RETRY_SECONDS = "2"
MODEL_PART_LOST = (aiohttp.ClientError, TimeoutError)
"""What BentoML's client raises, beside its own errors, when a model part died or did not answer: it is an aiohttp client."""

_OVERLOADED = (429, 503, 504)


class ErrorDetail(BaseModel):
    """What went wrong and what to do."""

    code: str
    message: str
    hint: str
    request_id: str


class ErrorBody(BaseModel):
    """Body of every answer whose status is not 2xx."""

    error: ErrorDetail


def error_detail(error: Exception, request_id: str) -> ErrorDetail:
    """The body's content for any exception; an unknown one tells nothing about the inside."""
    if isinstance(error, AuraError):
        return ErrorDetail(code=error.code, message=error.message, hint=error.hint, request_id=request_id)
    overloaded = isinstance(error, BentoMLException) and error.error_code in _OVERLOADED
    if overloaded or isinstance(error, MODEL_PART_LOST):
        return ErrorDetail(
            code="overloaded", message="the model did not answer this request in time",
            hint=f"try again in {RETRY_SECONDS} seconds", request_id=request_id,
        )  # fmt: skip
    return ErrorDetail(
        code="internal", message="the service failed on this request",
        hint="tell the operator the request_id; the log has the details", request_id=request_id,
    )  # fmt: skip


def answer_with(status: int, detail: ErrorDetail) -> JSONResponse:
    """The answer; one that says "not now" also says when."""
    headers = {"retry-after": RETRY_SECONDS} if status == 503 else None
    return JSONResponse(ErrorBody(error=detail).model_dump(), status_code=status, headers=headers)
