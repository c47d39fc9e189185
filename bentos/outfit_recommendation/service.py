"""BentoML service: an API part that checks requests, and a model part that scores and completes outfits."""

from __future__ import annotations

import asyncio
import io
from typing import TYPE_CHECKING, Any

import bentoml
from PIL import Image

from aura.artifact import content_hash
from aura.errors import AuraError, InvalidRequestError
from aura.supervision import die_with_parent
from aura.taxonomy import Category
from bentos.outfit_recommendation.schemas import (
    EvaluateRequest,
    Health,
    ItemShare,
    OutfitEvaluation,
    OutfitItem,
    Recommendation,
    RecommendedItem,
    RecommendRequest,
)
from bentos.outfit_recommendation.targets import missing_categories
from bentos.serving.api import answer_unknown_paths, make_app
from bentos.serving.hop import as_answer, raise_error_of
from bentos.serving.parts import api_part, model_part
from bentos.serving.pictures import decode_base64, encode
from bentos.serving.places import places

if TYPE_CHECKING:  # the API part never needs torch
    from inference.outfits.items import Item

app = make_app("Aura outfit recommendation", "Scores outfits and finds what completes them.")

_MODEL_PART_SECONDS = 60


@bentoml.service(name="outfit_recommendation_model", **model_part(_MODEL_PART_SECONDS))
class OutfitScorer:
    """The champion of the outfit model with the catalog's embeddings, in a process of its own."""

    def __init__(self) -> None:
        die_with_parent()
        # Imported here: the API part never needs torch.
        from bentos.outfit_recommendation.catalog import Catalog
        from inference.outfits.model import OutfitModel

        self._champion = places().champion("outfits")
        self._model = OutfitModel.load(self._champion.folder, device=places().serving.device)
        self._catalog = Catalog(places().catalog(), self._model, content_hash(self._champion.folder))

    @bentoml.api
    async def about(self) -> dict[str, Any]:
        """Name and version of the champion, and the size of the catalog; async, so that it does not wait for the model."""
        return {"model": self._champion.as_dict(), "catalog_items": len(self._catalog)}

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=10_000)
    def evaluate(self, outfits: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Score of each outfit and how each of its items moves it; or `error`, for that outfit alone."""
        answers: list[dict[str, Any]] = []
        for outfit in outfits:
            try:
                answers.append(self._judged(self._items(outfit["items"])))
            except AuraError as error:
                answers.append(as_answer(error))
        return answers

    @bentoml.api
    def recommend(self, items: list[dict[str, Any]], targets: list[str], k: int) -> dict[str, Any]:
        """`targets`: the k best catalog items for each category, without any given for each that is missing; or `error`."""
        try:
            outfit = self._items(items)
            wanted = [Category(target) for target in targets] or missing_categories({item.category for item in outfit})
            return {"targets": {category.value: self._best(outfit, category, k) for category in wanted}}
        except AuraError as error:
            return as_answer(error)

    def _judged(self, outfit: list[Item]) -> dict[str, Any]:
        shares = self._model.contributions(outfit)
        return {
            "score": self._model.score([outfit])[0],
            "items": [
                {"category": item.category.value, "title": item.title, "contribution": share}
                for item, share in zip(outfit, shares, strict=True)
            ],
        }

    def _best(self, outfit: list[Item], category: Category, k: int) -> list[dict[str, Any]]:
        worn = [item.item_id for item in outfit]
        hits = self._catalog.nearest(self._model.query(outfit, category), category, k, without=worn)
        scores = self._model.score([[*outfit, item] for item, _ in hits]) if hits else []
        return [
            {
                "item_id": item.item_id, "category": item.category.value, "title": item.title,
                "similarity": similarity, "outfit_score": score,
            }
            for (item, similarity), score in zip(hits, scores, strict=True)
        ]  # fmt: skip

    def _items(self, described: list[dict[str, Any]]) -> list[Item]:
        from inference.outfits.items import Item

        items = []
        for place, one in enumerate(described):
            if one["item_id"] is not None:
                if one["item_id"] not in self._catalog:
                    raise InvalidRequestError(
                        f"the catalog has no item {one['item_id']!r}",
                        hint="send the garment itself: category with a title, an image_base64 or both",
                    )
                items.append(self._catalog.item(one["item_id"]))
                continue
            image = Image.open(io.BytesIO(one["image"])) if one["image"] else None
            items.append(
                Item(item_id=f"own-{place}", category=Category(one["category"]), title=one["title"], image=image)
            )
        return items


@bentoml.service(name="outfit_recommendation", **api_part(_MODEL_PART_SECONDS))
@bentoml.asgi_app(app, path="/api/v1/outfit-recommendation")
class OutfitRecommendation:
    """HTTP endpoints under `/api/v1/outfit-recommendation`."""

    model = bentoml.depends(OutfitScorer)

    def __init__(self) -> None:
        die_with_parent()

    @app.post("/recommend")
    async def recommend(self, request: RecommendRequest) -> Recommendation:
        """Catalog items that complete the outfit, per wanted category."""
        answer = await self.model.to_async.recommend(
            items=await asyncio.to_thread(_checked, request.items),
            targets=[target.value for target in request.targets],
            k=request.k,
        )
        raise_error_of(answer)
        return Recommendation(
            targets={
                Category(target): [RecommendedItem(**one) for one in hits] for target, hits in answer["targets"].items()
            },
            model=(await self.model.to_async.about())["model"],
        )

    @app.post("/evaluate")
    async def evaluate(self, request: EvaluateRequest) -> OutfitEvaluation:
        """How well the garments go together, and which of them helps or hurts."""
        items = await asyncio.to_thread(_checked, request.items)
        answer = (await self.model.to_async.evaluate([{"items": items}]))[0]
        raise_error_of(answer)
        return OutfitEvaluation(
            score=answer["score"],
            items=[ItemShare(**one) for one in answer["items"]],
            model=(await self.model.to_async.about())["model"],
        )

    @app.get("/health")
    async def health(self) -> Health:
        """Answers when the model part does."""
        return Health(profile=places().profile, **await self.model.to_async.about())


def _checked(items: list[OutfitItem]) -> list[dict[str, Any]]:
    """Items with their pictures decoded, checked and encoded for the way to the model part."""
    limits = places().serving
    checked = []
    for place, item in enumerate(items):
        picture = item.image_base64
        image = encode(decode_base64(picture, limits, f"items.{place}.image_base64")) if picture else None
        category = item.category.value if item.category else None
        checked.append({"item_id": item.item_id, "category": category, "title": item.title, "image": image})
    return checked


answer_unknown_paths(app)
