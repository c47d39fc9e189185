"""Runner of the outfit recommendation service: scores outfits in batches, and completes them from the catalog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml

from aura.artifact import content_hash
from aura.heavy_imports import heavy_imports
from aura.taxonomy import Category
from bentos.outfit_recommendation.catalog import KnownItems, ServedCatalog
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
from bentos.serving.batch_answers import answer_together
from bentos.serving.bentoml_options import named_media_types, runner_options
from bentos.serving.errors import Failure
from bentos.serving.process import start_process
from inference.outfits.missing_categories import missing_categories

if TYPE_CHECKING:  # the service never needs torch
    from inference.outfits.catalog_search import CatalogSearch
    from inference.outfits.items import Item
    from inference.outfits.model import OutfitModel

RUNNER_SECONDS = 60


@named_media_types
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

    @bentoml.api
    def evaluate(self, outfits: list[JudgeOutfit]) -> list[Judgement | Failure]:
        """Score of each outfit and how each of its items moves it; an outfit that cannot be judged fails alone."""
        known = cache(self._catalog.known)
        return answer_together(
            outfits, lambda request: _items(request.items, known), lambda _, read: self._judged(read), self._judgement
        )

    @bentoml.api
    def recommend(self, requests: list[CompleteOutfit]) -> list[Completions | Failure]:
        """The k best catalog items for each wanted category, or for each category that the outfit lacks."""
        known = cache(self._catalog.known)
        return answer_together(
            requests,
            lambda request: self._wish(request, known),
            lambda _, wishes: self._completed(wishes),
            self._completions,
        )

    def _judged(self, outfits: Sequence[list[Item]]) -> list[tuple[list[Item], tuple[float, list[float]]]]:
        """Of each outfit its items, titled, with its score and their contributions."""
        encoded = self._encoded(outfits)
        return list(zip(encoded, self._model.judge(encoded), strict=True))

    def _judgement(
        self, _request: JudgeOutfit, _items: list[Item], judged: tuple[list[Item], tuple[float, list[float]]]
    ) -> Judgement:
        outfit, (score, contributions) = judged
        items = [
            ItemShare(category=item.category, title=item.title, contribution=contribution)
            for item, contribution in zip(outfit, contributions, strict=True)
        ]
        return Judgement(score=score, items=items, model=self._version)

    def _wish(self, request: CompleteOutfit, known: Callable[[], KnownItems]) -> _Wish:
        outfit = _items(request.items, known)
        targets = request.targets or missing_categories({item.category for item in outfit})
        return _Wish(outfit, targets, request.k, known().search)

    def _completed(self, wishes: Sequence[_Wish]) -> list[dict[Category, list[RecommendedItem]]]:
        """Of each wish the best items per target: one question to the model for all targets, one for all candidates."""
        outfits = self._encoded([wish.outfit for wish in wishes])
        asked = [
            (wish, outfit, target) for wish, outfit in zip(wishes, outfits, strict=True) for target in wish.targets
        ]
        queries = self._model.queries([outfit for _, outfit, _ in asked], [target for _, _, target in asked])
        hits = [
            wish.catalog.nearest(query, target, wish.k, without=[item.item_id for item in outfit])
            for (wish, outfit, target), query in zip(asked, queries, strict=True)
        ]
        completed = [[*outfit, item] for (_, outfit, _), found in zip(asked, hits, strict=True) for item, _ in found]
        scores = iter(self._model.score(completed))
        best = iter([[_recommended(*hit, next(scores)) for hit in found] for found in hits])
        return [{target: next(best) for target in wish.targets} for wish in wishes]

    def _completions(
        self, _request: CompleteOutfit, _wish: _Wish, targets: dict[Category, list[RecommendedItem]]
    ) -> Completions:
        return Completions(targets=targets, model=self._version)

    def _encoded(self, outfits: Sequence[list[Item]]) -> list[list[Item]]:
        """The outfits, whose items are read by the encoders all at once."""
        items = iter(self._model.with_vectors([item for outfit in outfits for item in outfit]))
        return [list(islice(items, len(outfit))) for outfit in outfits]


@dataclass(frozen=True)
class _Wish:
    """What completes an outfit, and where it is looked for."""

    outfit: list[Item]
    targets: Sequence[Category]
    k: int
    catalog: CatalogSearch


def _recommended(item: Item, similarity: float, score: float) -> RecommendedItem:
    return RecommendedItem(
        item_id=item.item_id, category=item.category, title=item.title, similarity=similarity, outfit_score=score
    )


def _items(garments: Sequence[Garment], known: Callable[[], KnownItems]) -> list[Item]:
    return [_item(position, garment, known) for position, garment in enumerate(garments)]


def _item(position: int, garment: Garment, known: Callable[[], KnownItems]) -> Item:
    from inference.outfits.items import Item

    if garment.item_id is not None:
        return known().item(garment.item_id)
    if garment.category is None:
        raise ValueError("a garment has neither an item_id nor a category")
    image = garment.image.image() if garment.image else None
    return Item(item_id=f"own-{position}", category=garment.category, title=garment.title, image=image)
