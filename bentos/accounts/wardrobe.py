"""Endpoints of the wardrobe: the garments that somebody owns, with their pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import FileResponse
from PIL import Image
from pydantic import ValidationError

from aura.errors import InvalidRequestError, NotFoundError
from aura.pictures import FORMATS
from aura.taxonomy import Category
from bentos.accounts.active_user import ActiveUser
from bentos.accounts.belongings_schemas import (
    AnalyzedPhoto,
    GarmentBody,
    GarmentWords,
    OwnedGarments,
    Page,
    WardrobeGarment,
)
from bentos.accounts.pictures import Pictures, jpeg
from bentos.serving.decoders import ImageDecoder
from bentos.serving.error_text import validation_text
from bentos.serving.errors import NOT_FOUND
from bentos.serving.media_types import TypedRoute
from bentos.serving.settings import ServingSettings
from bentos.serving.uploads import uploaded_with_text
from inference.garment_colours import garment_colours, garment_colours_in
from inference.outfits.picture_titles import title_of
from stores.database import Connection, Database
from stores.users import Users
from stores.wardrobe import NewGarment, OwnedGarment, Wardrobe

router = APIRouter(prefix="/wardrobe", route_class=TypedRoute, tags=["wardrobe"])
_FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image", "analysis"],
                    "properties": {
                        "image": {"type": "string", "format": "binary", "description": ", ".join(FORMATS)},
                        "analysis": {
                            "type": "string",
                            "description": "what visual-analysis/analyze answered for it, as JSON",
                        },
                    },
                }
            }
        },
    }
}


@dataclass(frozen=True)
class Wardrobes:
    """What the endpoints work with."""

    database: Database
    pictures: Pictures
    decoder: ImageDecoder
    serving: ServingSettings

    async def add(self, user_id: UUID, garments: Sequence[tuple[NewGarment, bytes | None]]) -> Sequence[OwnedGarment]:
        """Keep garments with their pictures.

        Raises:
            InvalidRequestError: the wardrobe is full.
        """
        at_most = self.serving.accounts.max_garments

        async def keep(connection: Connection) -> Sequence[OwnedGarment] | None:
            added = await Wardrobe(connection, user_id).add([garment for garment, _ in garments], at_most)
            if added is not None:  # while the owner's row is locked, so that nobody removes the same picture meanwhile
                for content in filter(None, (picture for _, picture in garments)):
                    await asyncio.to_thread(self.pictures.save, user_id, content)
            return added

        added = await self.database.run(keep)
        if added is None:
            raise InvalidRequestError(f"a wardrobe holds {at_most} garments at most", hint="remove some first")
        return added

    async def remove(self, user_id: UUID, garment_id: UUID) -> bool:
        """Remove a garment, and its picture unless another garment has the same."""

        async def take_out(connection: Connection) -> bool:
            wardrobe = Wardrobe(connection, user_id)
            removed = await wardrobe.remove(garment_id)
            if removed and removed.picture_hash and not await wardrobe.shows(removed.picture_hash):
                await asyncio.to_thread(self.pictures.remove, user_id, removed.picture_hash)
            return removed is not None

        return await self.database.run(take_out)

    async def remove_all(self, user_id: UUID) -> None:
        """Remove the pictures of somebody who has gone."""
        await asyncio.to_thread(self.pictures.remove_all, user_id)

    async def remove_orphans(self) -> None:
        """Remove the pictures of people who have gone while this process was killed."""
        owners = await asyncio.to_thread(self.pictures.owners)
        for user_id in await self.database.run(lambda connection: Users(connection).missing([*owners])):
            await self.remove_all(user_id)


def _wardrobes(request: Request) -> Wardrobes:
    wardrobes: Wardrobes = request.app.state.wardrobes
    return wardrobes


Own = Annotated[Wardrobes, Depends(_wardrobes)]


@router.post("", status_code=201)
async def add_garment(body: GarmentBody, user: ActiveUser, own: Own) -> WardrobeGarment:
    """Put a garment into the wardrobe; one with a picture and without a title is called by its colours."""
    image = (
        (await own.decoder.decode_base64(body.image_base64, "image_base64")).pixels.image()
        if body.image_base64
        else None
    )
    described = await asyncio.to_thread(_from_words, body.category, body.title, body.colour, image)
    [garment] = await own.add(user.id, [described])
    return WardrobeGarment.of(garment)


@router.post("/photo", status_code=201, openapi_extra=_FORM)
async def add_from_photo(request: Request, user: ActiveUser, own: Own) -> list[WardrobeGarment]:
    """Put the garments that visual analysis has found in a photo into the wardrobe: the photo, and its answer."""
    content, text = await uploaded_with_text(request, "image", "analysis", own.serving)
    try:
        analysis = AnalyzedPhoto.model_validate_json(text)
    except ValidationError as error:
        problems = validation_text(error.errors(include_url=False, include_input=False), "analysis")
        raise InvalidRequestError(problems, hint="send what visual-analysis/analyze answered for this photo") from None
    photo = await own.decoder.decode(content)
    if (photo.width_px, photo.height_px) != (analysis.width, analysis.height):
        raise InvalidRequestError(
            f"the photo has {photo.width_px} x {photo.height_px} px, the analysis is of one with {analysis.width} x "
            f"{analysis.height}", hint="send the photo that was analysed",
        )  # fmt: skip
    shown = photo.pixels.image()
    scale = shown.width / analysis.width
    garments = [
        await asyncio.to_thread(_from_photo, found.category, shown, found.pixels(scale)) for found in analysis.garments
    ]
    return [WardrobeGarment.of(garment) for garment in await own.add(user.id, garments)]


@router.get("")
async def list_garments(user: ActiveUser, own: Own, page: Annotated[Page, Query()]) -> OwnedGarments:
    """Garments, newest first."""
    found = await own.database.run(lambda connection: Wardrobe(connection, user.id).page(page.after, page.limit))
    return OwnedGarments(
        garments=[WardrobeGarment.of(garment) for garment in found],
        after=found[-1].id if len(found) == page.limit else None,
    )


@router.get("/{garment_id:uuid}", responses=NOT_FOUND)
async def get_garment(garment_id: UUID, user: ActiveUser, own: Own) -> WardrobeGarment:
    """One garment."""
    return WardrobeGarment.of(await _garment(own, user.id, garment_id))


@router.get(
    "/{garment_id:uuid}/picture",
    response_class=FileResponse,
    responses={200: {"content": {"image/jpeg": {}}}, **NOT_FOUND},
)
async def get_picture(garment_id: UUID, user: ActiveUser, own: Own) -> FileResponse:
    """The garment's picture."""
    garment = await _garment(own, user.id, garment_id)
    path = own.pictures.path(user.id, garment.picture_hash) if garment.picture_hash else None
    if path is None or not path.is_file():
        raise NotFoundError("this garment has no picture", hint="add it again with one")
    return FileResponse(path, media_type="image/jpeg", headers={"cache-control": "private"})


@router.put("/{garment_id:uuid}", responses=NOT_FOUND)
async def change_garment(garment_id: UUID, body: GarmentWords, user: ActiveUser, own: Own) -> WardrobeGarment:
    """Correct what a garment is called."""
    changed = await own.database.run(
        lambda connection: Wardrobe(connection, user.id).change(garment_id, body.category, body.title, body.colour)
    )
    if changed is None:
        raise _no_garment()
    return WardrobeGarment.of(changed)


@router.delete("/{garment_id:uuid}", status_code=204, response_class=Response, responses=NOT_FOUND)
async def remove_garment(garment_id: UUID, user: ActiveUser, own: Own) -> None:
    """Take a garment out of the wardrobe, with its picture."""
    if not await own.remove(user.id, garment_id):
        raise _no_garment()


async def _garment(own: Wardrobes, user_id: UUID, garment_id: UUID) -> OwnedGarment:
    found = await own.database.run(lambda connection: Wardrobe(connection, user_id).get(garment_id))
    if found is None:
        raise _no_garment()
    return found


def _no_garment() -> NotFoundError:
    return NotFoundError("your wardrobe has no such garment", hint="GET /wardrobe lists them")


def _from_words(
    category: Category, title: str, colour: str | None, image: Image.Image | None
) -> tuple[NewGarment, bytes | None]:
    """The garment to be kept, and its picture's file; what is not said of it is seen in its picture."""
    if image is None:
        return NewGarment(category=category, title=title, colour=colour, picture_hash=None), None
    seen = garment_colours(image)
    return _pictured(category, title or title_of(category, seen), colour or seen.main, image)


def _from_photo(
    category: Category, photo: Image.Image, box_xyxy_px: tuple[int, int, int, int]
) -> tuple[NewGarment, bytes]:
    """A garment as it is seen in a photo, and the file of its own picture."""
    seen = garment_colours_in(photo, box_xyxy_px)
    return _pictured(category, title_of(category, seen), seen.main, photo.crop(box_xyxy_px))


def _pictured(category: Category, title: str, colour: str, image: Image.Image) -> tuple[NewGarment, bytes]:
    content = jpeg(image)
    kept = NewGarment(category=category, title=title, colour=colour, picture_hash=Pictures.hash_of(content))
    return kept, content
