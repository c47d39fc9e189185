"""Bodies of another type than an endpoint takes are refused with status 415, before they are read."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from fastapi import Request, Response, params
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

JSON, FORM, TEXT_FORM = "application/json", "multipart/form-data", "application/x-www-form-urlencoded"
_HOW = {JSON: "-H 'content-type: application/json'", FORM: "-F NAME=@FILE", TEXT_FORM: "-d NAME=VALUE"}


class UnsupportedMediaTypeError(HTTPException):
    """The body is of a type that the endpoint does not take."""

    def __init__(self, received: str, taken: Sequence[str]) -> None:
        sent = f"the body is {received}" if received else "the request does not say of what type its body is"
        allowed = " or ".join(taken)
        super().__init__(415, f"{sent}; this endpoint takes {allowed} (curl: {_HOW[taken[0]]})", {"accept": allowed})


class TypedRoute(APIRoute):
    """Route that knows of what type its body is: as `openapi_extra` documents it, else as its parameters say.

    FastAPI validates a body of another type as if it were a JSON string: "Input should be a valid dictionary".
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        taken = self._taken()

        async def checked(request: Request) -> Response:
            if taken:
                _refuse_other(request, taken)
            return await handle(request)

        return checked

    def _taken(self) -> tuple[str, ...]:
        if documented := (self.openapi_extra or {}).get("requestBody", {}).get("content"):
            return tuple(documented)
        if self.body_field is None:
            return ()
        field = self.body_field.field_info
        if isinstance(field, params.File):
            return (FORM,)
        return (TEXT_FORM, FORM) if isinstance(field, params.Form) else (JSON,)


def _refuse_other(request: Request, taken: Sequence[str]) -> None:
    received = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if received in taken or (JSON in taken and received.startswith("application/") and received.endswith("+json")):
        return
    if not received and not _has_body(request):
        return  # the endpoint says what is missing
    raise UnsupportedMediaTypeError(received, taken)


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
