"""BentoML service: an API part that checks requests, and a model part that scores and completes outfits."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import bentoml
from PIL import Image

from aura.errors import InvalidRequestError
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
from bentos.serving.api import answer_unknown_paths, make_app
from bentos.serving.pictures import decode_base64, encode
from bentos.serving.places import places

app = make_app("Aura outfit recommendation", "Scores outfits and finds what completes them.")

# What a complete outfit has at least; asked for when the caller does not say what is wanted.
_CORE = (Category.TOPS, Category.BOTTOMS, Category.SHOES, Category.BAGS)


@bentoml.service(name="outfit_recommendation_model", workers=1, traffic={"timeout": 60})
class OutfitScorer:
    """The champion of the outfit model with the catalog's embeddings, in a process of its own."""

    def __init__(self) -> None:
        # Imported here: the API part never needs torch.
        from bentos.outfit_recommendation.catalog import Catalog
        from inference.outfits.model import OutfitModel

        self._champion = places().champion("outfits")
        self._model = OutfitModel.load(self._champion.folder, device=places().serving.device)
        self._catalog = Catalog(places().catalog, self._model, f"{places().profile}/{self._champion.folder.name}")

    @bentoml.api
    def about(self) -> dict[str, Any]:
        """Name and version of the champion, and the size of the catalog."""
        return {"model": self._champion.as_dict(), "catalog_items": len(self._catalog)}

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=10_000)
    def evaluate(self, outfits: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Score of each outfit and how each of its items moves it; an unknown item_id gives `{"unknown": ...}`."""
        answers: list[dict[str, Any]] = []
        for outfit in outfits:
            items, unknown = self._items(outfit["items"])
            if unknown:
                answers.append({"unknown": unknown})
                continue
            shares = self._model.contributions(items)
            answers.append(
                {
                    "score": self._model.score([items])[0],
                    "items": [
                        {"category": item.category.value, "title": item.title, "contribution": share}
                        for item, share in zip(items, shares, strict=True)
                    ],
                }
            )
        return answers

    @bentoml.api
    def recommend(self, items: list[dict[str, Any]], targets: list[str], k: int) -> dict[str, Any]:
        """The k best catalog items for each target category."""
        outfit, unknown = self._items(items)
        if unknown:
            return {"unknown": unknown}
        worn = [item.item_id for item in outfit]
        found: dict[str, Any] = {}
        for target in targets:
            query = self._model.query(outfit, Category(target))
            hits = self._catalog.nearest(query, Category(target), k, without=worn)
            scores = self._model.score([[*outfit, item] for item, _ in hits]) if hits else []
            found[target] = [
                {
                    "item_id": item.item_id, "category": item.category.value, "title": item.title,
                    "similarity": similarity, "outfit_score": score,
                }
                for (item, similarity), score in zip(hits, scores, strict=True)
            ]  # fmt: skip
        return {"targets": found}

    def _items(self, described: list[dict[str, Any]]) -> tuple[list[Any], str]:
        from inference.outfits.items import Item

        items = []
        for place, one in enumerate(described):
            if one["item_id"] is not None:
                if one["item_id"] not in self._catalog:
                    return [], str(one["item_id"])
                items.append(self._catalog.item(one["item_id"]))
                continue
            image = Image.open(io.BytesIO(one["image"])) if one["image"] else None
            items.append(
                Item(item_id=f"own-{place}", category=Category(one["category"]), title=one["title"], image=image)
            )
        return items, ""


@bentoml.service(name="outfit_recommendation", traffic={"timeout": 60})
@bentoml.asgi_app(app, path="/api/v1/outfit-recommendation")
class OutfitRecommendation:
    """HTTP endpoints under `/api/v1/outfit-recommendation`."""

    model = bentoml.depends(OutfitScorer)

    @app.post("/recommend")
    async def recommend(self, request: RecommendRequest) -> Recommendation:
        """Catalog items that complete the outfit, per wanted category."""
        worn = {item.category for item in request.items}
        targets = (
            request.targets or [one for one in _CORE if one not in worn and not _covered(one, worn)] or [Category.BAGS]
        )
        answer = await self.model.to_async.recommend(
            items=await asyncio.to_thread(_checked, request.items),
            targets=[target.value for target in targets],
            k=request.k,
        )
        _refuse_unknown(answer)
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
        _refuse_unknown(answer)
        return OutfitEvaluation(
            score=answer["score"],
            items=[ItemShare(**one) for one in answer["items"]],
            model=(await self.model.to_async.about())["model"],
        )

    @app.get("/health")
    async def health(self) -> Health:
        """Answers when the model part does."""
        return Health(profile=places().profile, **await self.model.to_async.about())


def _covered(category: Category, worn: set[Category | None]) -> bool:
    """A dress needs neither a top nor trousers."""
    return category in (Category.TOPS, Category.BOTTOMS) and Category.ALL_BODY in worn


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


def _refuse_unknown(answer: dict[str, Any]) -> None:
    if "unknown" in answer:
        raise InvalidRequestError(
            f"the catalog has no item {answer['unknown']!r}",
            hint="send the garment itself: category with a title, an image_base64 or both",
        )


answer_unknown_paths(app)
