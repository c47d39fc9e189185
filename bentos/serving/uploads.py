"""Files that a caller uploads in a form: exactly one, or several, in the field that the endpoint names.

FastAPI's own `UploadFile` parameter takes the last of several files without a word, and says "Field required" where a caller
named the field otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import FormData, UploadFile

from bentos.serving.images import refuse_large
from bentos.serving.media_types import FORM
from bentos.serving.settings import ServingSettings

_MAX_PARTS = 100
"""Fields and files per form; more are refused while they arrive."""


@dataclass(frozen=True)
class SentFile:
    """One of several files in a form."""

    name: str
    content: bytes


def upload_schema(field: str, formats: Sequence[str], at_most: int = 1) -> dict[str, Any]:
    """`openapi_extra` of an endpoint that reads its form with `uploaded`, or with `uploaded_files`.

    Args:
        formats: names of the pictures' formats, for example `JPEG`.
        at_most: with more than one, the field is repeated.
    """
    file: dict[str, Any] = {"type": "string", "format": "binary", "description": ", ".join(formats)}
    if at_most > 1:
        file = {"type": "array", "items": file, "minItems": 1, "maxItems": at_most}
    form = {
        "schema": {"type": "object", "required": [field], "properties": {field: file}},
        "encoding": {field: {"contentType": ", ".join(f"image/{name.lower()}" for name in formats)}},
    }
    return {"requestBody": {"required": True, "content": {FORM: form}}}


async def uploaded(request: Request, field: str, limits: ServingSettings) -> bytes:
    """Content of the one file in a form.

    Raises:
        RequestValidationError: there is no such file, or more than one.
        HTTPException: the form is broken.
        InvalidRequestError: the file is too large.
    """
    async with request.form(max_files=_MAX_PARTS, max_fields=_MAX_PARTS) as form:
        file = _only_file(form, field)
        refuse_large(file.size, limits, field)
        return await file.read()


async def uploaded_files(request: Request, field: str, at_most: int) -> list[SentFile]:
    """The files of a form, in their order. Nothing is asked of them: each is accepted or refused alone.

    Raises:
        RequestValidationError: there is none, or there are more than `at_most`.
        HTTPException: the form is broken.
    """
    async with request.form(max_files=_MAX_PARTS, max_fields=_MAX_PARTS) as form:
        sent = form.getlist(field)
        files = [file for file in sent if isinstance(file, UploadFile)]
        if not files or len(files) < len(sent):
            raise _refused(field, _not_files(form, field))
        if len(files) > at_most:
            raise _refused(field, f"{len(files)} files were sent; send {at_most} per request at most")
        return [SentFile(file.filename or "", await file.read()) for file in files]


async def uploaded_with_text(
    request: Request, field: str, text_field: str, limits: ServingSettings
) -> tuple[bytes, str]:
    """Content of the one file in a form, and the one text beside it.

    Raises:
        RequestValidationError: the form lacks one of them, or has more.
        HTTPException: the form is broken.
        InvalidRequestError: the file is too large.
    """
    async with request.form(max_files=_MAX_PARTS, max_fields=_MAX_PARTS) as form:
        file = _only_file(form, field)
        refuse_large(file.size, limits, field)
        texts = [sent for sent in form.getlist(text_field) if isinstance(sent, str)]
        if len(texts) != 1:
            problem = f"the form has {len(texts)} texts of this name; send one (curl: -F '{text_field}=<FILE')"
            raise _refused(text_field, problem)
        return await file.read(), texts[0]


def _only_file(form: FormData, field: str) -> UploadFile:
    sent = form.getlist(field)
    if len(sent) == 1 and isinstance(sent[0], UploadFile):
        return sent[0]
    if len(sent) > 1:
        raise _refused(field, f"{len(sent)} files or texts were sent; send one file per request")
    raise _refused(field, _not_files(form, field))


def _not_files(form: FormData, field: str) -> str:
    if form.getlist(field):
        return f"a text was sent, not a file; curl sends a file with -F {field}=@photo.jpg"
    return f"the form has no file of this name; its fields: {', '.join(form) or 'none'}"


def _refused(field: str, problem: str) -> RequestValidationError:
    return RequestValidationError([{"type": "upload", "loc": ("body", field), "msg": problem}])
