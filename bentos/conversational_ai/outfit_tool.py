"""The outfit service as a tool of the chat: asked for whole outfits with a garment that the question names, in its caller's name.

Which garment is meant is decided by rule (`inference.chat.garment_question`). Without an answer of the tool the passages answer
alone, and a note says why.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import httpx
from pydantic import BaseModel, Field, ValidationError

from aura.errors import AuraError
from aura.proxies import direct
from aura.taxonomy import Category
from bentos.conversational_ai.messages import ToolGarment, ToolUse
from bentos.conversational_ai.person import Person
from bentos.conversational_ai.schemas import Belongings
from bentos.conversational_ai.tool_answers import ToolAnswer, in_a_list
from bentos.serving.optional_database import OptionalDatabase
from bentos.serving.request_log import logger
from inference.chat.garment_question import GarmentQuestion, KnownGarment, garment_question
from stores.wardrobe import Wardrobe

OUTFITS_URL = "AURA_OUTFIT_SERVICE_URL"
"""Environment variable with the address of the outfit service, for example `http://host:8001/api/v1/outfit-recommendation`."""
_READ_GARMENTS = 200
_OUTFITS = 2
_SECONDS = 10.0
"""Time limit of the tool; the passages answer alone then."""


class _Item(BaseModel):
    """A garment that the outfits begin with."""

    wardrobe_id: str | None = None
    category: Category | None = None
    title: str = Field(default="", max_length=300)


class OutfitArguments(BaseModel):
    """What the tool is asked; the body of `outfit-recommendation/outfits`."""

    items: list[_Item] = Field(min_length=1, max_length=4)
    source: Literal["catalog", "wardrobe", "both"]
    count: int = Field(default=_OUTFITS, ge=1, le=10)


class _Reason(BaseModel):
    text: str


class _Piece(BaseModel):
    source: Literal["request", "wardrobe", "catalog"]
    item_id: str | None
    wardrobe_id: str | None
    category: Category
    title: str
    reasons: list[_Reason]


class _Outfit(BaseModel):
    pieces: list[_Piece]
    lacks: list[Category]


class OutfitAnswer(BaseModel):
    """What of the tool's answer is used."""

    outfits: list[_Outfit]


class OutfitTool:
    """Asks the outfit service.

    Args:
        database: where wardrobes are.
        url: address of the service; empty: there is none.
        transport: of the HTTP client, for tests.
    """

    def __init__(
        self, database: OptionalDatabase, url: str | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self._database = database
        self._url = os.environ.get(OUTFITS_URL, "") if url is None else url
        self._transport = transport

    async def answer(self, question: str, belongings: Belongings, person: Person | None) -> ToolAnswer:
        """Outfits with the garment that the question names; nothing where it names none.

        Args:
            person: whose wardrobe it is, and in whose name the outfit service is called.
        """
        photo = [
            KnownGarment(wardrobe_id=None, category=garment.category, title=garment.title)
            for garment in belongings.garments
        ]
        notes: list[str] = []
        wardrobe: list[KnownGarment] = []
        if belongings.wardrobe and person:
            try:
                wardrobe = await self._wardrobe(person)
            except AuraError as error:
                logger.warning("no wardrobe is read: %r", error)
                notes.append("your wardrobe could not be read")
        if not (belongings.wardrobe or photo):
            return ToolAnswer()
        asked = garment_question(question, [*wardrobe, *photo])
        if asked is None:
            return ToolAnswer(notes=notes)
        if not asked.garments:
            where = " and ".join(["your wardrobe"] * belongings.wardrobe + ["the photo"] * bool(photo))
            return ToolAnswer(notes=notes or [f"nothing in {where} is {asked.said!r}"])
        try:
            return await self._outfits(asked, _arguments(asked, belongings), person)
        except (httpx.HTTPError, httpx.InvalidURL, ValidationError, ValueError) as error:
            logger.warning("no outfits: %s", type(error).__name__)  # its text may hold titles of garments
            return ToolAnswer(notes=["no outfits were put together: the outfit service did not answer as it must"])

    async def _wardrobe(self, person: Person) -> list[KnownGarment]:
        found = await self._database.run(lambda connection: Wardrobe(connection, person.id).page(None, _READ_GARMENTS))
        return [
            KnownGarment(wardrobe_id=str(one.id), category=one.category, title=one.title, colour=one.colour)
            for one in found
        ]

    async def _outfits(self, asked: GarmentQuestion, arguments: OutfitArguments, person: Person | None) -> ToolAnswer:
        if not self._url:
            return ToolAnswer(notes=["no outfits were put together: this service knows no outfit service"])
        body = arguments.model_dump(mode="json", exclude_none=True)
        headers = {"authorization": f"Bearer {person.token}"} if person else {}
        async with httpx.AsyncClient(timeout=_SECONDS, transport=self._transport, **direct(self._url)) as client:
            response = await client.post(f"{self._url}/outfits", json=body, headers=headers)
        if response.status_code == httpx.codes.UNAUTHORIZED:
            return ToolAnswer(
                notes=["no outfits were put together: your token is no longer good; connect with a new one"]
            )
        response.raise_for_status()
        found = OutfitAnswer.model_validate(response.json()).outfits
        use = ToolUse(
            name="outfits", arguments=body, asked_about=[_named(garment) for garment in asked.garments],
            outfits=[[_piece(piece) for piece in outfit.pieces] for outfit in found],
        )  # fmt: skip
        sentences = _sentences(asked, found)
        return ToolAnswer(
            tools=[use],
            sentences=sentences,
            notes=[] if sentences else ["the outfit service found nothing to wear with it"],
        )


def _arguments(asked: GarmentQuestion, belongings: Belongings) -> OutfitArguments:
    items = [
        _Item(wardrobe_id=garment.wardrobe_id)
        if garment.wardrobe_id
        else _Item(category=garment.category, title=garment.title)
        for garment in asked.garments
    ]
    source: Literal["catalog", "wardrobe", "both"] = "both" if belongings.wardrobe else "catalog"
    return OutfitArguments(items=items, source="wardrobe" if asked.own_alone and belongings.wardrobe else source)


def _sentences(asked: GarmentQuestion, outfits: Sequence[_Outfit]) -> list[str]:
    """The outfits in words: each garment by its title, those of the wardrobe marked, and the first reason of an outfit."""
    what = in_a_list([garment.title for garment in asked.garments])
    sentences: list[str] = []
    for outfit in outfits:
        added = [piece for piece in outfit.pieces if piece.source != "request"]
        if not added:
            continue
        named = in_a_list([piece.title + " (yours)" * (piece.source == "wardrobe") for piece in added])
        sentences.append(f"Or with {named}." if sentences else f"With {what}, wear {named}.")
        if reason := next((reason.text for piece in added for reason in piece.reasons), None):
            sentences[-1] += f" Why: {reason}."
    return sentences


def _named(garment: KnownGarment) -> ToolGarment:
    return ToolGarment(
        source="wardrobe" if garment.wardrobe_id else "photo", wardrobe_id=garment.wardrobe_id,
        category=garment.category, title=garment.title,
    )  # fmt: skip


def _piece(piece: _Piece) -> ToolGarment:
    source: Literal["wardrobe", "photo", "catalog"] = (
        "catalog" if piece.item_id else "wardrobe" if piece.wardrobe_id else "photo"
    )
    return ToolGarment(
        source=source, wardrobe_id=piece.wardrobe_id, item_id=piece.item_id, category=piece.category, title=piece.title
    )
