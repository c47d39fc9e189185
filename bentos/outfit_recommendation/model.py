"""Runner of the outfit recommendation service: scores outfits in batches, and completes them from the catalog."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import bentoml

from aura.artifact import content_hash
from aura.errors import IndexNotReadyError
from aura.heavy_imports import heavy_imports
from aura.pictures import PictureError, read_picture, upright_rgb
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
    MadeOutfits,
    MakeOutfits,
    OutfitPiece,
    Reason,
    RecommendedItem,
    RunnerStatus,
    WholeOutfit,
)
from bentos.serving.assets import Assets
from bentos.serving.batch_answers import answer_together
from bentos.serving.bentoml_options import named_media_types, runner_options
from bentos.serving.errors import Failure
from bentos.serving.following import Following, Loaded
from bentos.serving.process import start_process
from bentos.serving.runner_metrics import inference
from inference.colours import DominantColour, colour_in_words
from inference.garment_colours import measured_colours
from inference.outfits import reasons as reasons_module
from inference.outfits.missing_categories import missing_categories
from inference.outfits.reasons import Seen, reasons_for, reasons_within
from inference.outfits.smoke_test import SMOKE_TEST
from inference.outfits.wishes import CatalogWords, Wishes, price
from inference.smoke_test import check_loaded

if TYPE_CHECKING:  # the service never needs torch
    import numpy as np
    from PIL import Image

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

    def seen(self, items: Sequence[Item]) -> list[Seen]:
        """The items with their colours: of the catalog's, and of pictures, measured; else as the title says."""
        search = self.search
        of_catalog = [item for item in items if search is not None and search.item(item.item_id) is not None]
        known = dict(
            zip([item.item_id for item in of_catalog], search.colours(of_catalog) if search else [], strict=True)
        )
        return [Seen(item, known.get(item.item_id) or _own_colour(item)) for item in items]

    def reasons_within(self, outfit: Sequence[Item]) -> list[reasons_module.Reason]:
        """What the garments of an outfit have to do with each other."""
        return reasons_within(self.seen(outfit), self.model.strongest_words)


def _own_colour(item: Item) -> DominantColour | None:
    if item.image is not None:
        return measured_colours(upright_rgb(item.image))[0]
    return colour_in_words(f"{item.attributes.get('colour', '')} {item.title}")


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
            score=judged.score, items=items, reasons=_messages(served.reasons_within(judged.outfit)),
            notes=notes + misfits, model=served.version, release=served.versions,
        )  # fmt: skip

    def _completions(
        self,
        served: LoadedOutfits,
        _request: CompleteOutfit,
        wish: _Wish,
        targets: dict[Category, list[RecommendedItem]],
    ) -> Completions:
        return Completions(targets=targets, notes=wish.notes, model=served.version, release=served.versions)

    def _wish(self, request: CompleteOutfit, served: LoadedOutfits) -> _Wish:
        if served.search is None:
            raise IndexNotReadyError("no index is served yet")
        wishes, notes = served.search.words.understood(request.wishes)
        outfit = self._items(request.items, served)
        targets = request.targets or [
            category
            for category in missing_categories({item.category for item in outfit})
            if category not in wishes.without_categories
        ]
        return _Wish(outfit, targets, request.k, served, wishes, notes)

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


@dataclass(frozen=True)
class _Wish:
    """What completes an outfit, and where it is looked for."""

    outfit: list[Item]
    targets: Sequence[Category]
    k: int
    served: LoadedOutfits
    wishes: Wishes
    notes: list[str]

    def nearest(self, query: np.ndarray, target: Category, outfit: Sequence[Item]) -> list[tuple[Item, float]]:
        """The k best items of a category that the caller wants and does not wear."""
        assert self.served.search is not None
        worn = {item.item_id for item in outfit}
        return self.served.search.nearest(
            query, target, self.k,
            lambda item: item.item_id not in worn and not self.wishes.misfit(item) and self.wishes.affordable(item),
        )  # fmt: skip


def _judged(model: OutfitModel, outfits: Sequence[list[Item]]) -> list[_Judged]:
    encoded = _encoded(model, outfits)
    return [_Judged(outfit, *answer) for outfit, answer in zip(encoded, model.judge(encoded), strict=True)]


def _completed(model: OutfitModel, wishes: Sequence[_Wish]) -> list[dict[Category, list[RecommendedItem]]]:
    """Of each wish the best items per target: one question to the model for all targets, one for all candidates."""
    outfits = _encoded(model, [wish.outfit for wish in wishes])
    asked = [(wish, outfit, target) for wish, outfit in zip(wishes, outfits, strict=True) for target in wish.targets]
    queries = model.queries([outfit for _, outfit, _ in asked], [target for _, _, target in asked])
    hits = [wish.nearest(query, target, outfit) for (wish, outfit, target), query in zip(asked, queries, strict=True)]
    completed = [[*outfit, item] for (_, outfit, _), found in zip(asked, hits, strict=True) for item, _ in found]
    scores = iter(model.score(completed))
    best = iter(
        [
            [
                _recommended(*hit, next(scores), reasons)
                for hit, reasons in zip(found, _reasons(*question, found), strict=True)
            ]
            for question, found in zip(asked, hits, strict=True)
        ]
    )
    return [{target: next(best) for target in wish.targets} for wish in wishes]


def _made(served: LoadedOutfits, request: MakeOutfits, read: tuple[list[Item], list[Item]]) -> MadeOutfits:
    """The outfits of one request."""
    from inference.outfits.beam import Candidates, OwnItems, whole_outfits

    search = served.search
    if request.from_catalog and search is None:
        raise IndexNotReadyError("no index is served yet")
    wishes, notes = (search.words if search and request.from_catalog else CatalogWords()).understood(request.wishes)
    worn, owned = _encoded(served.model, read)
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
                reasons=[] if sent else _messages(reasons_for(seen[place], seen[:place], served.model.strongest_words)),
            )
        )
    return pieces


def _encoded(model: OutfitModel, outfits: Sequence[list[Item]]) -> list[list[Item]]:
    """The outfits, whose items are read by the encoders all at once."""
    items = iter(model.with_vectors([item for outfit in outfits for item in outfit]))
    return [list(islice(items, len(outfit))) for outfit in outfits]


def _reasons(
    wish: _Wish, outfit: Sequence[Item], _target: Category, found: Sequence[tuple[Item, float]]
) -> list[list[Reason]]:
    """Why each item that was found goes with the outfit."""
    worn = wish.served.seen(outfit)
    candidates = wish.served.seen([item for item, _ in found])
    return [_messages(reasons_for(item, worn, wish.served.model.strongest_words)) for item in candidates]


def _recommended(item: Item, similarity: float, score: float, reasons: list[Reason]) -> RecommendedItem:
    return RecommendedItem(
        item_id=item.item_id, category=item.category, title=item.title, similarity=similarity, outfit_score=score,
        price=price(item), reasons=reasons,
    )  # fmt: skip


def _messages(reasons: Sequence[reasons_module.Reason]) -> list[Reason]:
    return [Reason(kind=reason.kind, text=reason.text, relation=reason.relation) for reason in reasons]


def _picture(file: str | None) -> Image.Image | None:
    """A picture of a wardrobe, which may have been removed meanwhile: then its garment is known by its title."""
    try:
        return read_picture(Path(file), "picture").image if file else None
    except PictureError:
        return None
