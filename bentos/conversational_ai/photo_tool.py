"""The visual-analysis service as a tool of the chat: asked which garments a photo shows, in its caller's name.

It is asked whenever a photo is sent; what it finds is what a question calls "this". The photo is kept nowhere.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass

import httpx
from pydantic import BaseModel, ValidationError

from aura.proxies import direct
from bentos.conversational_ai.messages import ToolGarment, ToolUse
from bentos.conversational_ai.person import Person
from bentos.conversational_ai.schemas import PhotoGarment
from bentos.conversational_ai.tool_answers import ToolAnswer, in_a_list
from bentos.serving.base64_text import bytes_of_base64
from bentos.serving.errors import ErrorBody, InvalidRequestError
from bentos.serving.request_log import logger
from bentos.serving.settings import ServingSettings

PHOTOS_URL = "AURA_VISUAL_SERVICE_URL"
"""Environment variable with the address of the visual service, for example `http://host:8000/api/v1/visual-analysis`."""
_SECONDS = 10.0
"""Time limit of the tool; the question is answered without the photo then."""
_ASKED = {"colours": True}
_FAULTS_OF_THE_PHOTO = (
    httpx.codes.BAD_REQUEST, httpx.codes.REQUEST_ENTITY_TOO_LARGE, httpx.codes.UNSUPPORTED_MEDIA_TYPE,
    httpx.codes.UNPROCESSABLE_ENTITY,
)  # fmt: skip
"""Statuses that the caller can mend; any other is about the service, which the caller never named."""


@dataclass(frozen=True, kw_only=True)
class SeenPhoto:
    """What a photo shows.

    Attributes:
        garments: the surest first.
        answer: which tool was asked, and the garments in words.
    """

    garments: list[PhotoGarment]
    answer: ToolAnswer


class _Analysis(BaseModel):
    """What of the tool's answer is used."""

    garments: list[PhotoGarment]
    notice: str | None = None


class PhotoTool:
    """Asks the visual service.

    Args:
        url: address of the service; empty: there is none.
        transport: of the HTTP client, for tests.
    """

    def __init__(
        self, serving: ServingSettings, url: str | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._serving = serving
        self._url = os.environ.get(PHOTOS_URL, "") if url is None else url
        self._transport = transport

    async def look(self, photo_base64: str, person: Person | None) -> SeenPhoto:
        """The garments in a photo; none, and a note, where the service does not answer.

        Raises:
            InvalidRequestError: it is not the base64 of a picture.
        """
        content = await asyncio.to_thread(bytes_of_base64, photo_base64, self._serving, "photo_base64")
        if not self._url:
            return _unseen("this service knows no visual service")
        headers = {"authorization": f"Bearer {person.token}"} if person else {}
        try:
            async with httpx.AsyncClient(timeout=_SECONDS, transport=self._transport, **direct(self._url)) as client:
                response = await client.post(
                    f"{self._url}/analyze", params=_ASKED, files={"image": ("photo", content)}, headers=headers
                )
            if response.status_code == httpx.codes.UNAUTHORIZED and person:
                return _unseen("your token is no longer good; connect with a new one")
            if response.status_code in _FAULTS_OF_THE_PHOTO:
                error = ErrorBody.model_validate(response.json()).error
                raise InvalidRequestError(f"photo_base64: {error.message}", hint=error.hint)
            response.raise_for_status()
            found = _Analysis.model_validate(response.json())
        except (httpx.HTTPError, httpx.InvalidURL, ValidationError, ValueError) as error:
            logger.warning("no photo was looked at: %s", type(error).__name__)
            return _unseen("the visual service did not answer as it must")
        return _seen(found)


def _unseen(why: str) -> SeenPhoto:
    return SeenPhoto(garments=[], answer=ToolAnswer(notes=[f"the photo was not looked at: {why}"]))


def _seen(found: _Analysis) -> SeenPhoto:
    named = [ToolGarment(source="photo", category=one.category, title=one.title) for one in found.garments]
    notes = [found.notice] if found.notice else []
    answer = ToolAnswer(
        tools=[ToolUse(name="analyze", arguments={**_ASKED}, garments=named)],
        sentences=[f"In the photo: {in_a_list([garment.title.lower() for garment in named])}."] if named else [],
        notes=notes if named else ["no garment is found in the photo", *notes],
    )
    return SeenPhoto(garments=found.garments, answer=answer)
