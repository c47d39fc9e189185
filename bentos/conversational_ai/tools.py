"""What the chat asks before its model answers: the detector about a photo, the outfit model about a garment."""

from __future__ import annotations

from dataclasses import dataclass

from bentos.conversational_ai.outfit_tool import OutfitTool
from bentos.conversational_ai.person import Person
from bentos.conversational_ai.photo_tool import PhotoTool
from bentos.conversational_ai.schemas import MAX_GARMENTS, Belongings
from bentos.conversational_ai.tool_answers import ToolAnswer


@dataclass(frozen=True)
class Tools:
    """The tools of one process."""

    photos: PhotoTool
    outfits: OutfitTool

    async def answer(self, question: str, belongings: Belongings, person: Person | None) -> ToolAnswer:
        """What the tools say: outfits where the question asks for some, else what the photo shows; nothing without either.

        Raises:
            InvalidRequestError: the photo is none.
        """
        if belongings.photo_base64 is None:
            return await self.outfits.answer(question, belongings, person)
        seen = await self.photos.look(belongings.photo_base64, person)
        garments = [*seen.garments, *belongings.garments][:MAX_GARMENTS]
        outfits = await self.outfits.answer(question, belongings.model_copy(update={"garments": garments}), person)
        return ToolAnswer(
            tools=[*seen.answer.tools, *outfits.tools],
            sentences=outfits.sentences or seen.answer.sentences,
            notes=[*seen.answer.notes, *outfits.notes],
        )
