"""HTTP endpoints of the outfit recommendation service: it decodes and checks requests; its runner answers them."""

from __future__ import annotations

from collections.abc import Sequence

import bentoml
from fastapi import Request

from bentos.outfit_recommendation.figures import completion_figures, judgement_figures, outfits_figures
from bentos.outfit_recommendation.messages import (
    CompleteOutfit,
    Completions,
    Garment,
    Judgement,
    JudgeOutfit,
    MadeOutfits,
    MakeOutfits,
    Ratings,
    Runner,
)
from bentos.outfit_recommendation.model import RUNNER_SECONDS, OutfitRunner
from bentos.outfit_recommendation.own_garments import OwnGarments
from bentos.outfit_recommendation.ratings import OwnRatings
from bentos.outfit_recommendation.schemas import (
    EvaluateRequest,
    Health,
    OutfitEvaluation,
    OutfitItem,
    Outfits,
    OutfitsRequest,
    Recommendation,
    RecommendRequest,
)
from bentos.serving.app import answer_unknown_paths, make_app
from bentos.serving.assets import Assets
from bentos.serving.auth import caller_if_any, caller_of
from bentos.serving.batching import Batcher
from bentos.serving.bentoml_options import service_options
from bentos.serving.disconnect import while_connected
from bentos.serving.docs_page import root_page
from bentos.serving.errors import NotReadyBody
from bentos.serving.image_part import ImagePart
from bentos.serving.metrics import metrics_app
from bentos.serving.optional_database import OptionalDatabase
from bentos.serving.runner_metrics import sent_to_runner
from stores.address import given_url
from stores.database import Database

PATH = "/api/v1/outfit-recommendation"
MAX_OUTFITS = 16
"""Outfits that the model is asked about at once."""
GARMENT_PX = (448, 448)
"""A garment's picture is scaled down to fit: twice what the largest image encoder in use sees."""
app = make_app(
    "Aura outfit recommendation",
    "Scores outfits and finds what completes them.",
    image_paths=("/recommend", "/evaluate", "/outfits"),
)


@bentoml.service(name="outfit_recommendation", **service_options(RUNNER_SECONDS))
@bentoml.asgi_app(app, path=PATH)
@bentoml.asgi_app(metrics_app, path="/")
@bentoml.asgi_app(root_page(app, PATH), path="/")
class OutfitRecommendation(ImagePart[Runner]):
    """Endpoints under `/api/v1/outfit-recommendation`."""

    runner = bentoml.depends(OutfitRunner)

    def __init__(
        self, assets: Assets | None = None, runner: Runner | None = None, database_url: str | None = None
    ) -> None:
        """BentoML passes nothing: then the assets, the runner and the database are those of this process."""
        super().__init__(app, "outfit_recommendation", assets, runner or self.runner.to_async)
        url = given_url() if database_url is None else database_url
        self._database = OptionalDatabase(
            Database(url, self._assets.serving.database) if url else None, "knows no wardrobes",
            hint="its operator sets AURA_DATABASE_URL; or send the garment by category with a title or an image_base64",
        )  # fmt: skip
        self._wardrobes = OwnGarments(self._database)
        self._ratings = OwnRatings(self._database)
        seconds = self._assets.serving.answer_seconds
        self._judgements: Batcher[JudgeOutfit, Judgement] = Batcher(
            lambda requests: self._runner.evaluate(outfits=requests), max_batch=MAX_OUTFITS, seconds=seconds
        )
        self._completions: Batcher[CompleteOutfit, Completions] = Batcher(
            lambda requests: self._runner.recommend(requests=requests), max_batch=MAX_OUTFITS, seconds=seconds
        )

        self._outfit_searches: Batcher[MakeOutfits, MadeOutfits] = Batcher(
            lambda requests: self._runner.outfits(requests=requests), max_batch=1, seconds=seconds
        )

    @bentoml.on_shutdown
    async def close_database(self) -> None:
        """Close the connections."""
        await self._database.close()

    @app.post("/recommend")
    async def recommend(self, request: RecommendRequest, http: Request) -> Recommendation:
        """Catalog items that complete the outfit, per wanted category, with reasons.

        Whoever has saved or rejected outfits, and allows it, gets a ranking of their own.
        """
        ratings, unread = await self._ratings.of(caller_if_any(http))
        # What is somebody's own is not kept for others.
        if ratings or unread or any(item.wardrobe_id for item in request.items):
            return await while_connected(http, self._recommendation(request, http, ratings, unread))
        question = request.model_dump_json().encode()
        work = self._cache.answer("recommend", question, Recommendation, lambda: self._recommendation(request, http))
        return await while_connected(http, work)

    async def _recommendation(
        self, request: RecommendRequest, http: Request, ratings: Ratings | None = None, unread: Sequence[str] = ()
    ) -> Recommendation:
        wanted = CompleteOutfit(
            items=await self._garments(request.items, http), targets=request.targets, k=request.k,
            wishes=request.wishes(), ratings=ratings,
        )  # fmt: skip
        with sent_to_runner("recommend"):
            found = await self._completions.answer(wanted)
        self._predictions.note("recommend", found, wanted.age_seconds, lambda: completion_figures(found))
        return Recommendation(
            targets=found.targets, notes=[*found.notes, *unread], model=found.model, release=found.release
        )

    @app.post("/evaluate")
    async def evaluate(self, request: EvaluateRequest, http: Request) -> OutfitEvaluation:
        """How well the garments go together, which of them helps or hurts, and what they have to do with each other."""
        return await while_connected(http, self._evaluation(request, http))

    async def _evaluation(self, request: EvaluateRequest, http: Request) -> OutfitEvaluation:
        outfit = JudgeOutfit(items=await self._garments(request.items, http), wishes=request.wishes())
        with sent_to_runner("evaluate"):
            answer = await self._judgements.answer(outfit)
        self._predictions.note("evaluate", answer, outfit.age_seconds, lambda: judgement_figures(answer))
        return OutfitEvaluation(
            score=answer.score, items=answer.items, reasons=answer.reasons, notes=answer.notes, model=answer.model,
            release=answer.release,
        )  # fmt: skip

    @app.post("/outfits")
    async def outfits(self, request: OutfitsRequest, http: Request) -> Outfits:
        """Whole outfits with the caller's garments: of the catalog, of the caller's own wardrobe, or of both."""
        return await while_connected(http, self._outfits(request, http))

    async def _outfits(self, request: OutfitsRequest, http: Request) -> Outfits:
        notes: list[str] = []
        wardrobe: list[Garment] = []
        if request.source != "catalog":
            wardrobe, more = await self._wardrobes.newest(caller_of(http))
            notes += [f"of your wardrobe the newest {len(wardrobe)} garments were looked at"] if more else []
        items = await self._garments(request.items, http)
        given = {item.wardrobe_id for item in items}
        wanted = MakeOutfits(
            items=items, wardrobe=[garment for garment in wardrobe if garment.wardrobe_id not in given],
            from_catalog=request.source != "wardrobe", count=request.count, wishes=request.wishes(),
        )  # fmt: skip
        with sent_to_runner("outfits"):
            made = await self._outfit_searches.answer(wanted)
        self._predictions.note("outfits", made, wanted.age_seconds, lambda: outfits_figures(made))
        return Outfits(outfits=made.outfits, notes=made.notes + notes, model=made.model, release=made.release)

    @app.get("/health", responses={503: {"model": NotReadyBody}})
    async def health(self) -> Health:
        """Ready, or degraded and why; at once."""
        status = await self._readiness.status()
        return Health(
            profile=self._assets.profile, model=status.model, release=status.release,
            reasons=[
                *status.degraded, *await self._cache.problems(), *await self._wardrobes.problems(),
                *await self._predictions.problems(),
            ],
            catalog_items=status.catalog_items, index_version=status.index_version,
        )  # fmt: skip

    async def _garments(self, items: Sequence[OutfitItem], http: Request) -> list[Garment]:
        """The caller's items with their images decoded and checked, and those of the caller's wardrobe."""
        own_ids = [item.wardrobe_id for item in items if item.wardrobe_id]
        own = await self._wardrobes.garments(caller_of(http), own_ids) if own_ids else {}
        return [
            own[item.wardrobe_id] if item.wardrobe_id else await self._garment(item, f"items.{position}.image_base64")
            for position, item in enumerate(items)
        ]

    async def _garment(self, item: OutfitItem, where: str) -> Garment:
        image = None
        if item.image_base64:
            image = (await self._decoder.decode_base64(item.image_base64, where, GARMENT_PX)).pixels
        return Garment(item_id=item.item_id, category=item.category, title=item.title, image=image)


answer_unknown_paths(app)
