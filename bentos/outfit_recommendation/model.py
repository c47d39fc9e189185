"""Runner of the outfit recommendation service: scores outfits in batches, and completes them from the catalog."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml

from aura.artifact import content_hash
from aura.errors import IndexNotReadyError
from aura.heavy_imports import heavy_imports
from aura.releases import Release
from aura.taxonomy import Category
from bentos.outfit_recommendation.catalog import NO_CATALOG, KnownItems
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
from bentos.serving.following import Following, Loaded
from bentos.serving.process import start_process
from bentos.serving.runner_metrics import inference
from inference.outfits.missing_categories import missing_categories
from inference.outfits.smoke_test import SMOKE_TEST
from inference.smoke_test import check_loaded

if TYPE_CHECKING:  # the service never needs torch
    from inference.outfits.catalog_search import CatalogSearch
    from inference.outfits.items import Item
    from inference.outfits.model import OutfitModel

MODEL = "outfits"
RUNNER_SECONDS = 60


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedOutfits(Loaded):
    """What outfits are judged and completed with.

    Attributes:
        model_hash: content hash of the model's artifact.
        search: the catalog of the index, as the model sees it; None without an index.
    """

    model: OutfitModel
    model_hash: str
    search: CatalogSearch | None


@named_media_types
@bentoml.service(name="outfit_recommendation_model", **runner_options(RUNNER_SECONDS))
class OutfitRunner:
    """The release's outfit model with the catalog's embeddings, in a separate process."""

    def __init__(
        self, assets: Assets | None = None, load_model: Callable[[Path, str], OutfitModel] | None = None
    ) -> None:
        """BentoML passes nothing: then the assets are those of this process, and the artifact is loaded."""
        self._assets = assets or start_process()
        with heavy_imports(at_start=True):
            from inference.outfits.model import OutfitModel

        self._load_model = load_model or OutfitModel.load
        self._known = KnownItems(self._assets)
        self._served = Following(self._assets, MODEL, self._load)

    def _load(self, release: Release, before: LoadedOutfits | None) -> LoadedOutfits:
        from inference.outfits.catalog_search import CatalogSearch

        index = before.index if before and before.has_index_of(release) else self._assets.index(release)
        if before and before.has_model_of(release) and index is before.index:
            return replace(before, release=release)
        if before and before.has_model_of(release):
            model, model_hash, embedded = before.model, before.model_hash, before.search
        else:
            with self._assets.champion(MODEL, release) as champion:
                model = self._load_model(champion.folder, self._assets.serving.device)
                check_loaded(SMOKE_TEST, model, champion.folder)
                model_hash, embedded = content_hash(champion.folder), None
        # Of the same model only items that the other catalog lacks are embedded.
        search = CatalogSearch(index.catalog(), model, model_hash, embedded) if index else None
        return LoadedOutfits(
            release=release, model_name=MODEL, index=index, model=model, model_hash=model_hash, search=search
        )

    @bentoml.api
    async def status(self) -> RunnerStatus:
        """Async, so that it does not wait for the model."""
        served = self._served.now()
        search = served.search
        return RunnerStatus(
            model=served.version, release=served.versions,
            degraded=self._served.degraded + ([] if search else [NO_CATALOG]),
            catalog_items=len(search) if search else 0, index_version=str(search.version) if search else "",
        )  # fmt: skip

    @bentoml.api
    def evaluate(self, outfits: list[JudgeOutfit]) -> list[Judgement | Failure]:
        """Score of each outfit and how each of its items moves it; an outfit that cannot be judged fails alone."""
        served = self._served.now()
        with inference("evaluate", outfits):
            return answer_together(
                outfits,
                lambda request: self._items(request.items, served),
                lambda _, read: _judged(served.model, read),
                partial(self._judgement, served),
            )

    @bentoml.api
    def recommend(self, requests: list[CompleteOutfit]) -> list[Completions | Failure]:
        """The k best catalog items for each wanted category, or for each category that the outfit lacks."""
        served = self._served.now()
        with inference("recommend", requests):
            return answer_together(
                requests,
                lambda request: self._wish(request, served),
                lambda _, wishes: _completed(served.model, wishes),
                lambda _request, _wish, targets: Completions(
                    targets=targets, model=served.version, release=served.versions
                ),
            )

    def _judgement(
        self, served: LoadedOutfits, _request: JudgeOutfit, _items: list[Item], judged: _Judged
    ) -> Judgement:
        items = [
            ItemShare(category=item.category, title=item.title, contribution=contribution)
            for item, contribution in zip(judged.outfit, judged.contributions, strict=True)
        ]
        return Judgement(score=judged.score, items=items, model=served.version, release=served.versions)

    def _wish(self, request: CompleteOutfit, served: LoadedOutfits) -> _Wish:
        if served.search is None:
            raise IndexNotReadyError("no index is served yet")
        outfit = self._items(request.items, served)
        targets = request.targets or missing_categories({item.category for item in outfit})
        return _Wish(outfit, targets, request.k, served.search)

    def _items(self, garments: Sequence[Garment], served: LoadedOutfits) -> list[Item]:
        return [self._item(position, garment, served) for position, garment in enumerate(garments)]

    def _item(self, position: int, garment: Garment, served: LoadedOutfits) -> Item:
        from inference.outfits.items import Item

        if garment.item_id is not None:
            return self._known.item(served.search, garment.item_id)
        if garment.category is None:
            raise ValueError("a garment has neither an item_id nor a category")
        image = garment.image.image() if garment.image else None
        return Item(item_id=f"own-{position}", category=garment.category, title=garment.title, image=image)


@dataclass(frozen=True)
class _Judged:
    """An outfit, its garments titled, with its score and what each garment adds to it."""

    outfit: list[Item]
    score: float
    contributions: list[float]


@dataclass(frozen=True)
class _Wish:
    """What completes an outfit, and where it is looked for."""

    outfit: list[Item]
    targets: Sequence[Category]
    k: int
    catalog: CatalogSearch


def _judged(model: OutfitModel, outfits: Sequence[list[Item]]) -> list[_Judged]:
    encoded = _encoded(model, outfits)
    return [_Judged(outfit, *answer) for outfit, answer in zip(encoded, model.judge(encoded), strict=True)]


def _completed(model: OutfitModel, wishes: Sequence[_Wish]) -> list[dict[Category, list[RecommendedItem]]]:
    """Of each wish the best items per target: one question to the model for all targets, one for all candidates."""
    outfits = _encoded(model, [wish.outfit for wish in wishes])
    asked = [(wish, outfit, target) for wish, outfit in zip(wishes, outfits, strict=True) for target in wish.targets]
    queries = model.queries([outfit for _, outfit, _ in asked], [target for _, _, target in asked])
    hits = [
        wish.catalog.nearest(query, target, wish.k, without=[item.item_id for item in outfit])
        for (wish, outfit, target), query in zip(asked, queries, strict=True)
    ]
    completed = [[*outfit, item] for (_, outfit, _), found in zip(asked, hits, strict=True) for item, _ in found]
    scores = iter(model.score(completed))
    best = iter([[_recommended(*hit, next(scores)) for hit in found] for found in hits])
    return [{target: next(best) for target in wish.targets} for wish in wishes]


def _encoded(model: OutfitModel, outfits: Sequence[list[Item]]) -> list[list[Item]]:
    """The outfits, whose items are read by the encoders all at once."""
    items = iter(model.with_vectors([item for outfit in outfits for item in outfit]))
    return [list(islice(items, len(outfit))) for outfit in outfits]


def _recommended(item: Item, similarity: float, score: float) -> RecommendedItem:
    return RecommendedItem(
        item_id=item.item_id, category=item.category, title=item.title, similarity=similarity, outfit_score=score
    )
