"""Errors of the services: one body, one table from error to HTTP status, and how an error passes from a runner to its service.

BentoML turns every exception of a runner into its own 500. So a runner answers with a `Failure`, and the service raises it
again with its class, which `STATUS` maps to an HTTP status.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, Literal, ParamSpec, Self, TypeVar

import aiohttp
from asgi_correlation_id import correlation_id
from bentoml.exceptions import BentoMLException
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from aura.errors import (
    AuraError,
    BusyError,
    DatabaseUnavailableError,
    ForbiddenError,
    IndexNotReadyError,
    IndexUnavailableError,
    InvalidRequestError,
    NotFoundError,
    RegistryError,
    ServiceError,
    ServiceUnavailableError,
    UnauthenticatedError,
    error_from_dict,
)
from bentos.serving.error_text import bounded, validation_text
from bentos.serving.messages import Message, RunnerAnswer, RunnerRequest
from bentos.serving.metrics import ERRORS
from bentos.serving.release_header import note_release
from bentos.serving.request_log import logger

RETRY_SECONDS = "2"
RUNNER_LOST = (aiohttp.ClientError, TimeoutError)
"""What BentoML's client raises, beside its own errors, when a runner died or did not answer: it is an aiohttp client."""

_SEE_DOCS = "see the docs page of this service"
_OVERLOADED = (429, 503, 504)
"""429 and 504 are BentoML's concurrency limit and timeout; 503 is its batching queue, for a request that would not be
answered within `max_latency_ms`."""
_CODES = {
    403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type",
}  # fmt: skip
"""Codes of the errors that FastAPI and Starlette raise themselves, by status."""

P = ParamSpec("P")
T = TypeVar("T")
RequestType = TypeVar("RequestType", bound=RunnerRequest)


class OverloadedError(AuraError):
    """The runner is unavailable, or too busy to answer in time."""

    code = "overloaded"

    def __init__(
        self,
        message: str = "the model did not answer this request in time",
        *,
        hint: str = f"try again in {RETRY_SECONDS} seconds",
    ) -> None:
        super().__init__(message, hint=hint)


class RateLimitError(AuraError):
    """A caller makes more requests than one caller may."""

    code = "rate_limited"

    def __init__(self, message: str, *, hint: str = "", retry_seconds: int = 1) -> None:
        super().__init__(message, hint=hint or f"try again in {retry_seconds} seconds")
        self.retry_seconds = retry_seconds


class NotReadyError(AuraError):
    """The service is live, but cannot answer: its runner does not."""

    code = "not_ready"

    def __init__(
        self,
        message: str,
        *,
        hint: str = f"try again in {RETRY_SECONDS} seconds; the log of the service says what happens",
    ) -> None:
        super().__init__(message, hint=hint)


class NoDatabaseError(AuraError):
    """What people have is asked for, and this service runs without a database."""

    code = "no_database"


class TooManyAttemptsError(AuraError):
    """Somebody has tried too often.

    Attributes:
        retry_seconds: seconds until the next try is admitted.
    """

    code = "too_many_attempts"

    def __init__(self, message: str, *, hint: str = "", retry_seconds: int = 60) -> None:
        super().__init__(message, hint=hint or f"try again in {retry_seconds} seconds")
        self.retry_seconds = retry_seconds


class BodyTooLargeError(HTTPException):
    """The body is longer than allowed. An HTTPException, because FastAPI turns any other error of a body into a 400."""

    def __init__(self, limit: int, received: str, unit: str = "bytes") -> None:
        super().__init__(413, f"the request has {received} {unit}; at most {limit} are allowed")


STATUS: dict[type[Exception], int] = {
    InvalidRequestError: 400,
    UnauthenticatedError: 401,
    ForbiddenError: 403,
    NotFoundError: 404,
    TooManyAttemptsError: 429,
    DatabaseUnavailableError: 503,
    BodyTooLargeError: 413,
    RequestValidationError: 422,
    ClientDisconnect: 499,  # nginx's status; it appears in the access log only
    IndexNotReadyError: 503,
    IndexUnavailableError: 503,
    RegistryError: 503,
    BusyError: 503,
    OverloadedError: 503,
    RateLimitError: 429,
    NotReadyError: 503,
    NoDatabaseError: 422,
    Exception: 500,
}
"""HTTP status by error class, looked up along the class hierarchy. FastAPI's HTTP exceptions have their own status."""


_ABSENT = "the operator must make it available; the service's log says how"
FOR_CALLERS: dict[type[AuraError], tuple[str, str] | None] = {
    InvalidRequestError: None,
    UnauthenticatedError: None,
    ForbiddenError: None,
    NotFoundError: None,
    TooManyAttemptsError: None,
    NoDatabaseError: None,
    DatabaseUnavailableError: (
        "what people have cannot be read or kept at the moment",
        f"try again in {RETRY_SECONDS} seconds",
    ),
    OverloadedError: None,
    RateLimitError: None,
    BusyError: None,
    NotReadyError: None,
    IndexNotReadyError: ("what this service searches in is not ready yet", _ABSENT),
    IndexUnavailableError: (
        "what this service searches in does not answer at the moment",
        f"try again in {RETRY_SECONDS} seconds",
    ),
    RegistryError: ("there is no model to answer with yet", _ABSENT),
    ServiceUnavailableError: ("a part of this service is too busy to answer", f"try again in {RETRY_SECONDS} seconds"),
    ServiceError: ("a part of this service did not answer as it must", "try again; if it goes on, tell the operator"),
    AuraError: ("the service failed on this request", "tell the operator the request_id; the log has the details"),
}
"""Message and hint for callers by error class, looked up along the class hierarchy. An error's own text names paths, addresses
and commands of this machine: it is for the operator, and goes to the log. None: errors of the class are written for callers."""


class ErrorDetail(BaseModel):
    """What went wrong and what to do."""

    code: str
    message: str
    hint: str
    request_id: str


class ErrorBody(BaseModel):
    """Body of every answer whose status is not 2xx."""

    error: ErrorDetail


NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": ErrorBody}}
TOO_MANY: dict[int | str, dict[str, Any]] = {429: {"model": ErrorBody}}
"""`responses` of an endpoint that may answer so, besides what every endpoint may."""


class NotReadyBody(ErrorBody):
    """Body of a health check whose status is 503."""

    state: Literal["live"] = "live"
    reasons: list[str]


class Failure(Message):
    """An error as a runner answers it."""

    code: str
    message: str
    hint: str

    @classmethod
    def of(cls, error: AuraError) -> Self:
        return cls(**error.as_dict())

    def error(self) -> AuraError:
        """The error, of the class that it had in the runner."""
        error = error_from_dict(self.model_dump())
        error.code = self.code  # also where this process does not know the class
        return error


def answer_or_failure(
    request: RequestType, work: Callable[Concatenate[RequestType, P], T], *args: P.args, **kwargs: P.kwargs
) -> T | Failure:
    """What `work` returns for a request, or the error that it raises; for a runner, whose log then names the request.

    An unexpected error becomes a generic one, so that it fails one request and not its whole batch.
    """
    correlation_id.set(request.request_id)
    try:
        answer = work(request, *args, **kwargs)
    except Exception as error:
        return failure_of(error)
    logger.info("%s answered", type(request).__name__)
    return answer


def failure_of(error: Exception) -> Failure:
    """The error as an answer of a runner; it is logged there."""
    if isinstance(error, AuraError):
        logger.info("%s: %s", error.code, bounded(error.message))
        return Failure.of(error)
    logger.error("failed in the runner", exc_info=error)
    return Failure.of(_internal())


def raise_failure(answer: T | Failure) -> T:
    """The answer of a runner, whose release is that of the answer to the request under way.

    Raises:
        AuraError: the runner answered with a failure; of the class that it had there.
    """
    if isinstance(answer, Failure):
        raise answer.error()
    if isinstance(answer, RunnerAnswer):
        note_release(answer.release)
    return answer


def error_detail(error: Exception) -> ErrorDetail:
    """The body's content for any exception, counted by its code; an unexpected one reveals nothing about the inside."""
    detail = _detail(error)
    ERRORS.labels(detail.code).inc()
    return detail


def _detail(error: Exception) -> ErrorDetail:
    request_id = correlation_id.get() or ""
    if isinstance(error, RequestValidationError):
        problems = validation_text(error.errors())
        return ErrorDetail(code="invalid_request", message=problems, hint=_SEE_DOCS, request_id=request_id)
    if isinstance(error, HTTPException):
        hint = "send less; scale pictures down first" if isinstance(error, BodyTooLargeError) else _SEE_DOCS
        code = _CODES.get(error.status_code, "invalid_request" if error.status_code < 500 else "internal")
        return ErrorDetail(code=code, message=bounded(str(error.detail)), hint=hint, request_id=request_id)
    known = _as_aura_error(error)
    message, hint = _text_for_callers(known) or (known.message, known.hint)
    return ErrorDetail(code=known.code, message=bounded(message), hint=bounded(hint), request_id=request_id)


def error_response(error: Exception) -> Response:
    """The response to an error; with status 429 and 503 it says when to try again, with 405 what is allowed."""
    status = error_status(error)
    if isinstance(error, ClientDisconnect):
        return Response(status_code=status)
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == 503:
        headers["retry-after"] = RETRY_SECONDS
    if isinstance(error, (RateLimitError, TooManyAttemptsError)):
        headers["retry-after"] = str(error.retry_seconds)
    if isinstance(error, UnauthenticatedError):
        headers["www-authenticate"] = "Bearer"
    body = ErrorBody(error=error_detail(error))
    if isinstance(error, NotReadyError):
        body = NotReadyBody(error=body.error, reasons=[error.message])
    return JSONResponse(body.model_dump(), status_code=status, headers=headers)


def error_status(error: Exception) -> int:
    if isinstance(error, HTTPException):
        return error.status_code
    known = error if isinstance(error, (RequestValidationError, ClientDisconnect)) else _as_aura_error(error)
    return next(STATUS[kind] for kind in type(known).__mro__ if kind in STATUS)


def add_error_handlers(app: FastAPI) -> None:
    """Give the error body to everything that a handler raises, and to what FastAPI and BentoML raise themselves."""
    for kind in (AuraError, RequestValidationError, HTTPException, ClientDisconnect, BentoMLException, *RUNNER_LOST):
        app.add_exception_handler(kind, _on_error)


async def _on_error(_request: Request, error: Exception) -> Response:
    if isinstance(error, ClientDisconnect):
        logger.info("the caller has gone")
    elif isinstance(error, (BentoMLException, *RUNNER_LOST)):
        log = logger.warning if error_status(error) == 503 else logger.error
        log("failed in the runner: %r", error)
    elif error_status(error) == 500:
        logger.error("failed: %r", error)
    elif isinstance(error, AuraError) and _text_for_callers(error) is not None:
        logger.warning("cannot answer: %r", error)
    return error_response(error)


def _text_for_callers(error: AuraError) -> tuple[str, str] | None:
    return next(FOR_CALLERS[kind] for kind in type(error).__mro__ if kind in FOR_CALLERS)


def _as_aura_error(error: Exception) -> AuraError:
    if isinstance(error, AuraError):
        return error
    overloaded = isinstance(error, BentoMLException) and error.error_code in _OVERLOADED
    return OverloadedError() if overloaded or isinstance(error, RUNNER_LOST) else _internal()


def _internal() -> AuraError:
    return AuraError("an unexpected error")
