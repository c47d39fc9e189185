"""What callers send and get of their wardrobes, conversations and feedback."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, model_validator

from aura.taxonomy import Category
from bentos.serving.request_body import RequestBody, Text
from stores.conversations import Conversation, StoredMessage
from stores.feedback import Feedback, FeedbackKind
from stores.wardrobe import OwnedGarment

_Px = Annotated[float, Field(strict=True)]


def _with_an_inside(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = box
    if not (0 <= x0 < x1 < 1e6 and 0 <= y0 < y1 < 1e6):
        raise ValueError("must be x0, y0, x1, y1 with x0 < x1 and y0 < y1")
    return box


Box = Annotated[
    tuple[_Px, _Px, _Px, _Px], AfterValidator(_with_an_inside),
    Field(description="x0, y0, x1, y1 in pixels of the upright photo"),
]  # fmt: skip
_MAX_FOUND = 100


class Page(RequestBody):
    """Which entries of a list, newest first."""

    after: UUID | None = Field(default=None, description="`after` of the page before")
    limit: int = Field(default=50, ge=1, le=200)


class FeedbackPageQuery(RequestBody):
    """Which feedback, newest first."""

    before: int | None = Field(default=None, ge=1, le=2**63 - 1, description="`before` of the page before")
    limit: int = Field(default=50, ge=1, le=200)


class MessagesQuery(RequestBody):
    """Which messages of a conversation, oldest first."""

    first: int = Field(default=0, ge=0, le=2**31 - 1, description="position of the first one")
    limit: int = Field(default=200, ge=1, le=1000)


class GarmentWords(RequestBody):
    """What a garment is called."""

    category: Category
    title: Annotated[Text, Field(min_length=1, max_length=300)]
    colour: Annotated[Text, Field(max_length=60)] | None = None


class GarmentBody(RequestBody):
    """A garment, with a title or a picture or both."""

    category: Category
    title: Annotated[Text, Field(max_length=300)] = ""
    colour: Annotated[Text, Field(max_length=60)] | None = None
    image_base64: str | None = Field(
        default=None, description="a picture of the garment alone, as the base64 of its file"
    )

    @model_validator(mode="after")
    def _described(self) -> Self:
        if not self.title and not self.image_base64:
            raise ValueError("give a title, an image_base64 or both")
        return self


class WardrobeGarment(BaseModel):
    """A garment in the wardrobe."""

    id: UUID
    category: Category
    title: str
    colour: str | None
    has_picture: bool
    created_at: datetime

    @classmethod
    def of(cls, garment: OwnedGarment) -> Self:
        return cls(
            id=garment.id, category=garment.category, title=garment.title, colour=garment.colour,
            has_picture=garment.picture_hash is not None, created_at=garment.created_at,
        )  # fmt: skip


class OwnedGarments(BaseModel):
    """Garments, newest first."""

    garments: list[WardrobeGarment]
    after: UUID | None = Field(description="give it back for the next page; null at the end")


class FoundGarment(BaseModel):
    """A garment of an analysis; what else the answer says of it is not needed here."""

    category: Category
    box: Box

    def pixels(self, scale: float) -> tuple[int, int, int, int]:
        """The box in a photo of another size, a pixel wide and high at least."""
        x0, y0, x1, y1 = (round(value * scale) for value in self.box)
        return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


class AnalyzedPhoto(BaseModel):
    """An answer of visual-analysis/analyze, as far as a wardrobe needs it."""

    width: int = Field(gt=0)
    height: int = Field(gt=0)
    garments: list[FoundGarment] = Field(min_length=1, max_length=_MAX_FOUND)

    @model_validator(mode="after")
    def _boxes_lie_in_the_photo(self) -> Self:
        for garment in self.garments:
            if garment.box[0] >= self.width or garment.box[1] >= self.height:
                raise ValueError(f"the box {garment.box} lies outside of {self.width} x {self.height} px")
        return self


class ConversationView(BaseModel):
    """A conversation without its messages."""

    id: UUID
    created_at: datetime

    @classmethod
    def of(cls, conversation: Conversation) -> Self:
        return cls(id=conversation.id, created_at=conversation.created_at)


class ConversationPage(BaseModel):
    """Conversations, newest first."""

    conversations: list[ConversationView]
    after: UUID | None = Field(description="give it back for the next page; null at the end")


class MessageBody(RequestBody):
    """Something that was said."""

    role: Literal["user", "assistant"]
    content: Annotated[Text, Field(min_length=1, max_length=20_000)]


class MessagesBody(RequestBody):
    """What was said, in its order."""

    messages: list[MessageBody] = Field(min_length=1, max_length=50)


class MessageView(BaseModel):
    """A message of a conversation."""

    position: int
    role: Literal["user", "assistant"]
    content: str
    created_at: datetime

    @classmethod
    def of(cls, message: StoredMessage) -> Self:
        return cls(position=message.position, role=message.role, content=message.content, created_at=message.created_at)


class ConversationMessages(BaseModel):
    """Messages in their order."""

    messages: list[MessageView]
    next: int | None = Field(description="position to ask for next; null at the end")


class AnswerRating(RequestBody):
    """Thumbs on an answer of the assistant."""

    kind: Literal["answer"]
    thumbs: Literal["up", "down"]
    question: Annotated[Text, Field(max_length=4000)]
    answer: Annotated[Text, Field(max_length=20_000)]
    model_version: Annotated[Text, Field(max_length=100)] = ""
    comment: Annotated[Text, Field(max_length=2000)] = ""


class CorrectedGarment(RequestBody):
    """A garment with the category and the box that it should have had."""

    category: Category
    box: Box


class DetectionCorrection(RequestBody):
    """What a photo really shows."""

    kind: Literal["detection"]
    photo_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="of the photo's file")]
    garments: list[CorrectedGarment] = Field(max_length=_MAX_FOUND)
    model_version: Annotated[Text, Field(max_length=100)] = ""


class OutfitVerdict(RequestBody):
    """An outfit that was saved or rejected."""

    kind: Literal["outfit"]
    verdict: Literal["saved", "rejected"]
    item_ids: list[Annotated[Text, Field(min_length=1, max_length=200)]] = Field(min_length=1, max_length=12)
    score: float | None = Field(default=None, ge=0, le=1, strict=True, description="what the model gave it")
    model_version: Annotated[Text, Field(max_length=100)] = ""


FeedbackBody = Annotated[AnswerRating | DetectionCorrection | OutfitVerdict, Field(discriminator="kind")]


class FeedbackView(BaseModel):
    """What was said of an answer."""

    id: int
    kind: FeedbackKind
    body: dict[str, object]
    created_at: datetime
    taken_at: datetime | None = Field(description="when a night took it to learn from; null: not yet")

    @classmethod
    def of(cls, feedback: Feedback) -> Self:
        return cls(
            id=feedback.id, kind=feedback.kind, body=feedback.body, created_at=feedback.created_at,
            taken_at=feedback.taken_at,
        )  # fmt: skip


class FeedbackPage(BaseModel):
    """Feedback, newest first."""

    feedback: list[FeedbackView]
    before: int | None = Field(description="give it back for the next page; null at the end")
