"""Runner of the outfit recommendation service: scores outfits in batches, and completes them from the catalog."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import bentoml

from aura.artifact import content_hash
from aura.errors import IndexNotReadyError
from aura.heavy_imports import heavy_imports
from aura.pictures import PictureError, read_picture
from aura.releases import Release
from aura.taxonomy import Category
from bentos.outfit_recommendation.catalog import NO_CATALOG, KnownItems
from bentos.outfit_recommendation.completing import Wish, completed
from bentos.outfit_recommendation.loaded_outfits import LoadedOutfits, encoded, reason_messages
from bentos.outfit_recommendation.messages import (
    CompleteOutfit,
    Completions,
    Garment,
    ItemShare,
    Judgement,
    JudgeOutfit,
    MadeOutfits,
    MakeOutfits,
    OutfitPiece,
    RecommendedItem,
    RunnerStatus,
    WholeOutfit,
)
from bentos.serving.assets import Assets
from bentos.serving.batch_answers import answer_together
from bentos.serving.bentoml_options import named_media_types, runner_options
from bentos.serving.errors import Failure
from bentos.serving.following import Following
from bentos.serving.process import start_process
from bentos.serving.runner_metrics import inference
from inference.outfits.missing_categories import missing_categories
from inference.outfits.reasons import reasons_for
from inference.outfits.smoke_test import SMOKE_TEST
from inference.outfits.wishes import CatalogWords, price
from inference.smoke_test import check_loaded

if TYPE_CHECKING:  # the service never needs torch
    from PIL import Image

    from inference.outfits.items import Item
    from inference.outfits.model import OutfitModel
    from inference.retrieval.search import Index

MODEL = "outfits"
RUNNER_SECONDS = 60


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
        self._served = Following(self._assets, MODEL, self._assets.index, self._load)

    def _load(self, release: Release, index: Index | None, before: LoadedOutfits | None) -> LoadedOutfits:
        from inference.outfits.catalog_search import CatalogSearch

        if before and before.has_model_of(release) and index is before.index:
            return replace(before, release=release)
        if before and before.has_model_of(release):
            model, model_hash = before.model, before.model_hash
        else:
            with self._assets.champion(MODEL, release) as champion:
                model = self._load_model(champion.folder, self._assets.serving.device)
                check_loaded(SMOKE_TEST, model, champion.folder)
                model_hash = content_hash(champion.folder)
        # Of the same model only items that the other catalog lacks are embedded.
        known = before.search if before else None
        search = CatalogSearch(index.catalog(), model, model_hash, known) if index else None
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
                lambda _, wishes: completed(served.model, wishes),
                partial(self._completions, served),
            )

    @bentoml.api
    def outfits(self, requests: list[MakeOutfits]) -> list[MadeOutfits | Failure]:
        """Whole outfits for each request, the best first; each search scores its outfits in batches of its own."""
        served = self._served.now()
        with inference("outfits", requests):
            return answer_together(
                requests,
                lambda request: (self._items(request.items, served), self._items(request.wardrobe, served)),
                lambda asked, read: [_made(served, *each) for each in zip(asked, read, strict=True)],
                lambda _request, _read, made: made,
            )

    def _judgement(self, served: LoadedOutfits, request: JudgeOutfit, _items: list[Item], judged: _Judged) -> Judgement:
        items = [
            ItemShare(
                item_id=garment.item_id, wardrobe_id=garment.wardrobe_id, category=item.category, title=item.title,
                contribution=contribution,
            )
            for garment, item, contribution in zip(request.items, judged.outfit, judged.contributions, strict=True)
        ]  # fmt: skip
        words = served.search.words if served.search else CatalogWords()
        wishes, notes = words.understood(request.wishes)
        misfits = [
            f"{item.title or item.category.value} {why}" for item in judged.outfit if (why := wishes.misfit(item))
        ]
        return Judgement(
            score=judged.score, items=items, reasons=reason_messages(served.reasons_within(judged.outfit)),
            notes=notes + misfits, model=served.version, release=served.versions,
        )  # fmt: skip

    def _completions(
        self,
        served: LoadedOutfits,
        _request: CompleteOutfit,
        wish: Wish,
        targets: dict[Category, list[RecommendedItem]],
    ) -> Completions:
        return Completions(targets=targets, notes=wish.notes, model=served.version, release=served.versions)

    def _wish(self, request: CompleteOutfit, served: LoadedOutfits) -> Wish:
        if served.search is None:
            raise IndexNotReadyError("no index is served yet")
        wishes, notes = served.search.words.understood(request.wishes)
        outfit = self._items(request.items, served)
        targets = request.targets or [
            category
            for category in missing_categories({item.category for item in outfit})
            if category not in wishes.without_categories
        ]
        preferences = served.preferences(request.ratings) if request.ratings else None
        return Wish(outfit, targets, request.k, served, wishes, notes, preferences)

    def _items(self, garments: Sequence[Garment], served: LoadedOutfits) -> list[Item]:
        return [self._item(position, garment, served) for position, garment in enumerate(garments)]

    def _item(self, position: int, garment: Garment, served: LoadedOutfits) -> Item:
        from inference.outfits.items import Item

        if garment.item_id is not None:
            return self._known.item(served.search, garment.item_id)
        if garment.category is None:
            raise ValueError("a garment has neither an item_id nor a category")
        image = garment.image.image() if garment.image else _picture(garment.picture_file)
        attributes = {"colour": garment.colour} if garment.colour else {}
        return Item(
            item_id=garment.wardrobe_id or f"own-{position}", category=garment.category, title=garment.title, image=image,
            attributes=attributes,
        )  # fmt: skip


@dataclass(frozen=True)
class _Judged:
    """An outfit, its garments titled, with its score and what each garment adds to it."""

    outfit: list[Item]
    score: float
    contributions: list[float]


def _judged(model: OutfitModel, outfits: Sequence[list[Item]]) -> list[_Judged]:
    titled = encoded(model, outfits)
    return [_Judged(outfit, *answer) for outfit, answer in zip(titled, model.judge(titled), strict=True)]


def _made(served: LoadedOutfits, request: MakeOutfits, read: tuple[list[Item], list[Item]]) -> MadeOutfits:
    """The outfits of one request."""
    from inference.outfits.beam import Candidates, OwnItems, whole_outfits

    search = served.search
    if request.from_catalog and search is None:
        raise IndexNotReadyError("no index is served yet")
    wishes, notes = (search.words if search and request.from_catalog else CatalogWords()).understood(request.wishes)
    worn, owned = encoded(served.model, read)
    sources: list[Candidates] = [OwnItems(owned, served.model)] if owned else []
    if search is not None and request.from_catalog:
        sources.append(search)
    own_ids = {item.item_id for item in owned}
    found = whole_outfits(
        served.model, worn, sources, without=wishes.without_categories, count=request.count,
        wanted=lambda item, spent: (
            wishes.misfit(item) is None and (item.item_id in own_ids or wishes.affordable(item, spent))
        ),
    )  # fmt: skip
    given = {item.item_id: garment for item, garment in zip(worn, request.items, strict=True)}
    outfits = [
        WholeOutfit(
            score=outfit.score, pieces=_pieces(served, outfit.items, given, own_ids), lacks=[*outfit.lacks],
            to_buy=outfit.spent if search and request.from_catalog and search.words.values["price"] else None,
        )
        for outfit in found
    ]  # fmt: skip
    return MadeOutfits(outfits=outfits, notes=notes, model=served.version, release=served.versions)


def _pieces(
    served: LoadedOutfits, outfit: Sequence[Item], given: Mapping[str, Garment], own_ids: Collection[str]
) -> list[OutfitPiece]:
    """The garments, each that was added with why it goes with those before it: so that no pair is explained twice."""
    seen = served.seen(outfit)
    pieces = []
    for place, item in enumerate(outfit):
        sent = given.get(item.item_id)
        own = item.item_id if item.item_id in own_ids else sent.wardrobe_id if sent else None
        source: Literal["request", "wardrobe", "catalog"] = "request" if sent else "wardrobe" if own else "catalog"
        pieces.append(
            OutfitPiece(
                source=source,
                wardrobe_id=own,
                item_id=sent.item_id if sent else None if own else item.item_id,
                category=item.category,
                title=item.title,
                price=price(item),
                reasons=[]
                if sent
                else reason_messages(reasons_for(seen[place], seen[:place], served.model.strongest_words)),
            )
        )
    return pieces


def _picture(file: str | None) -> Image.Image | None:
    """A picture of a wardrobe, which may have been removed meanwhile: then its garment is known by its title."""
    try:
        return read_picture(Path(file), "picture").image if file else None
    except PictureError:
        return None
