"""Runner of the outfit recommendation service: scores outfits in batches, and completes them from the catalog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml

from aura.artifact import content_hash
from aura.heavy_imports import heavy_imports
from aura.taxonomy import Category
from bentos.outfit_recommendation.catalog import ServedCatalog
from bentos.outfit_recommendation.messages import (
    CompleteOutfit,
    Completions,
    Garment,
    ItemShare,
    Judgement,
    JudgeOutfit,
    RecommendedItem,
    RunnerStatus,
)
from bentos.serving.assets import Assets
from bentos.serving.bentoml_options import runner_options
from bentos.serving.errors import Failure, answer_or_failure
from bentos.serving.process import start_process
from bentos.serving.runner_metrics import inference
from inference.outfits.missing_categories import missing_categories

if TYPE_CHECKING:  # the service never needs torch
    from inference.outfits.catalog_search import CatalogSearch
    from inference.outfits.items import Item
    from inference.outfits.model import OutfitModel

RUNNER_SECONDS = 60


@bentoml.service(name="outfit_recommendation_model", **runner_options(RUNNER_SECONDS))
class OutfitRunner:
    """The champion of the outfit model with the catalog's embeddings, in a separate process."""

    def __init__(
        self, assets: Assets | None = None, load_model: Callable[[Path, str], OutfitModel] | None = None
    ) -> None:
        """BentoML passes nothing: then the assets are those of this process, and the artifact is loaded."""
        assets = assets or start_process()
        with heavy_imports(at_start=True):
            from inference.outfits.catalog_search import CatalogSearch
            from inference.outfits.model import OutfitModel

        if load_model is None:
            load_model = OutfitModel.load
        champion = assets.champion("outfits")
        self._version = champion.version
        self._model = load_model(champion.folder, assets.serving.device)
        model_hash = content_hash(champion.folder)
        self._catalog = ServedCatalog(
            assets, lambda catalog, before: CatalogSearch(catalog, self._model, model_hash, before)
        )

    @bentoml.api
    async def status(self) -> RunnerStatus:
        """Async, so that it does not wait for the model."""
        catalog = self._catalog
        return RunnerStatus(
            model=self._version, degraded=catalog.degraded, catalog_items=len(catalog), index_version=catalog.version
        )

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=10_000)
    def evaluate(self, outfits: list[JudgeOutfit]) -> list[Judgement | Failure]:
        """Score of each outfit and how each of its items moves it; an outfit that cannot be judged fails alone."""
        with inference("evaluate", outfits):
            return [answer_or_failure(outfit, self._judgement) for outfit in outfits]

    @bentoml.api
    def recommend(self, request: CompleteOutfit) -> Completions | Failure:
        """The k best catalog items for each wanted category, or for each category that the outfit lacks."""
        with inference("recommend", [request]):
            return answer_or_failure(request, self._completions)

    def _judgement(self, request: JudgeOutfit) -> Judgement:
        outfit = self._items(request.items)
        contributions = self._model.contributions(outfit)
        return Judgement(
            score=self._model.score([outfit])[0],
            items=[
                ItemShare(category=item.category, title=item.title, contribution=contribution)
                for item, contribution in zip(outfit, contributions, strict=True)
            ],
            model=self._version,
        )

    def _completions(self, request: CompleteOutfit) -> Completions:
        outfit = self._items(request.items)
        targets = request.targets or missing_categories({item.category for item in outfit})
        catalog = self._catalog.search()
        return Completions(
            targets={category: self._best(catalog, outfit, category, request.k) for category in targets},
            model=self._version,
        )

    def _best(self, catalog: CatalogSearch, outfit: list[Item], category: Category, k: int) -> list[RecommendedItem]:
        worn = [item.item_id for item in outfit]
        hits = catalog.nearest(self._model.query(outfit, category), category, k, without=worn)
        scores = self._model.score([[*outfit, item] for item, _ in hits]) if hits else []
        return [
            RecommendedItem(
                item_id=item.item_id, category=item.category, title=item.title,
                similarity=similarity, outfit_score=score,
            )
            for (item, similarity), score in zip(hits, scores, strict=True)
        ]  # fmt: skip

    def _items(self, garments: Sequence[Garment]) -> list[Item]:
        return [self._item(position, garment) for position, garment in enumerate(garments)]

    def _item(self, position: int, garment: Garment) -> Item:
        from inference.outfits.items import Item
        from inference.outfits.picture_titles import titled

        if garment.item_id is not None:
            return self._catalog.item(garment.item_id)
        if garment.category is None:
            raise ValueError("a garment has neither an item_id nor a category")
        image = garment.image.image() if garment.image else None
        # A picture without a title: the caller is told what the garment is taken for.
        return titled(Item(item_id=f"own-{position}", category=garment.category, title=garment.title, image=image))
