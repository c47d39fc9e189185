"""The services with stand-ins for their runners, which answer at once and know no model."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

from _bentoml_sdk.service import set_current_service
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from aura.taxonomy import CATEGORIES, Category
from bentos.conversational_ai import messages as chat
from bentos.conversational_ai import service as chat_service
from bentos.outfit_recommendation import service as outfit_service
from bentos.outfit_recommendation.messages import (
    CompleteOutfit,
    Completions,
    ItemShare,
    Judgement,
    JudgeOutfit,
    MadeOutfits,
    MakeOutfits,
    OutfitPiece,
    RecommendedItem,
    WholeOutfit,
)
from bentos.outfit_recommendation.messages import RunnerStatus as OutfitStatus
from bentos.serving.errors import Failure
from bentos.serving.messages import ModelVersion
from bentos.visual_analysis import messages as visual
from bentos.visual_analysis import service as visual_service
from tests.bentos.stub_assets import StubAssets

PICTURE = Image.effect_noise((24, 16), 50).convert("RGB")


def picture_file(form: str = "PNG") -> bytes:
    file = io.BytesIO()
    PICTURE.save(file, form)
    return file.getvalue()


class StubDetector:
    """Finds a top in every photo."""

    model, canvas_px = ModelVersion(name="detection", version="1"), (128, 128)

    async def analyze(self, requests: list[visual.AnalyzeRequest]) -> list[visual.FoundGarments]:
        similar = visual.Similar(item_id="a", title="A shirt", category=Category.TOPS, similarity=0.5)
        return [
            visual.FoundGarments(
                garments=[
                    visual.Garment(
                        category=Category.TOPS, score=0.9, box=(0.0, 0.0, request.photo.width_px, 8.0),
                        similar=[similar] * request.similar,
                    )
                ],
                model=self.model, canvas_px=self.canvas_px,
            )
            for request in requests
        ]  # fmt: skip

    async def status(self) -> visual.RunnerStatus:
        return visual.RunnerStatus(model=self.model, canvas_px=self.canvas_px)


class StubOutfits:
    """Thinks that everything goes together, and knows every item."""

    model = ModelVersion(name="outfits", version="1")

    async def evaluate(self, outfits: list[JudgeOutfit]) -> list[Judgement]:
        return [
            Judgement(
                score=0.5, model=self.model,
                items=[
                    ItemShare(category=item.category or Category.TOPS, title=item.title, contribution=0.0)
                    for item in outfit.items
                ],
            )
            for outfit in outfits
        ]  # fmt: skip

    async def recommend(self, requests: list[CompleteOutfit]) -> list[Completions]:
        item = RecommendedItem(item_id="a", category=Category.TOPS, title="A", similarity=0.5, outfit_score=0.5)
        return [
            Completions(
                targets={target: [item] * request.k for target in request.targets or CATEGORIES}, model=self.model
            )
            for request in requests
        ]

    async def outfits(self, requests: list[MakeOutfits]) -> list[MadeOutfits]:
        piece = OutfitPiece(source="catalog", item_id="a", category=Category.TOPS, title="A")
        outfit = WholeOutfit(score=0.5, pieces=[piece])
        return [MadeOutfits(outfits=[outfit] * request.count, model=self.model) for request in requests]

    async def status(self) -> OutfitStatus:
        return OutfitStatus(model=self.model, catalog_items=1, index_version="1")


class StubChat:
    """Says one sentence to every question."""

    model = ModelVersion(name="chat", version="1")

    async def retrieve(self, requests: list[chat.RetrieveRequest]) -> list[chat.FoundPassages | Failure]:
        passage = chat.Passage(slug="a", title="A", heading="A", text="Brown goes.", score=1.0, similarity=0.5)
        return [
            chat.FoundPassages(passages=[passage] * request.k, index_version="1", model=self.model)
            for request in requests
        ]

    async def generate(self, request: chat.GenerateRequest) -> AsyncGenerator[bytes, None]:
        yield chat.event_line(chat.Started(sources=request.passages, dropped_messages=0))
        source = 0 if request.passages else None
        status = "quoted" if request.passages else "declined"
        yield chat.event_line(chat.Sentence(text="Brown goes.", source=source, status=status))
        yield chat.event_line(chat.Finished(finish_reason="stop", declined=source is None, model=self.model))

    async def stop(self, request: chat.StopRequest) -> chat.Stopped:
        return chat.Stopped(was_running=False, model=self.model)

    async def status(self) -> chat.RunnerStatus:
        return chat.RunnerStatus(model=self.model, index_version="1", question_tokens=256)


SERVICES: dict[str, tuple[FastAPI, Any, Any]] = {
    "visual_analysis": (visual_service.app, visual_service.VisualAnalysis, StubDetector),
    "outfit_recommendation": (outfit_service.app, outfit_service.OutfitRecommendation, StubOutfits),
    "conversational_ai": (chat_service.app, chat_service.ConversationalAI, StubChat),
}
"""Application, class and stand-in by the service's name."""


@contextmanager
def stub_service(name: str) -> Iterator[FastAPI]:
    """The application of a service, whose endpoints answer from a stand-in."""
    app, service, runner = SERVICES[name]
    set_current_service(service.inner(StubAssets(), runner()))
    try:
        yield app
    finally:
        set_current_service(None)


@contextmanager
def stub_client(name: str) -> Iterator[TestClient]:
    with stub_service(name) as app, TestClient(app, raise_server_exceptions=False) as client:
        yield client


def picture_base64() -> str:
    return base64.b64encode(picture_file()).decode()
