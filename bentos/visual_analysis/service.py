"""BentoML service: an API part that checks requests, and a model part that detects in batches.

The model part is one worker on one device; its requests are batched across callers.
"""

from __future__ import annotations

import asyncio
import io
from typing import Annotated, Any

import bentoml
from fastapi import File, Query, UploadFile
from PIL import Image

from aura.errors import AuraError
from aura.supervision import die_with_parent
from aura.taxonomy import Category
from bentos.serving.api import answer_unknown_paths, make_app
from bentos.serving.hop import as_answer, raise_error_of
from bentos.serving.index import follow_release
from bentos.serving.parts import api_part, model_part
from bentos.serving.pictures import decode, encode, refuse_large
from bentos.serving.places import places
from bentos.visual_analysis.schemas import Analysis, Garment, Health, Similar

_LEAST_SCORE = 0.05
"""Nothing below is of use to anybody; the queries of a DETR always answer something."""

_MODEL_PART_SECONDS = 60

app = make_app("Aura visual analysis", "Finds garments in photos.")


@bentoml.service(name="visual_analysis_model", **model_part(_MODEL_PART_SECONDS))
class DetectorModel:
    """The champion of the detector, in a process of its own."""

    def __init__(self) -> None:
        die_with_parent()
        # Imported here: the API part never needs torch.
        from inference.detection.detector import Detector

        self._champion = places().champion("detection")
        self._detector = Detector.load(self._champion.folder, device=places().serving.device)
        self._index: Any = None

    @bentoml.api
    async def about(self) -> dict[str, str]:
        """Name and version of the champion; async, so that it does not wait for the model."""
        return self._champion.as_dict()

    @bentoml.api(batchable=True, max_batch_size=8, max_latency_ms=10_000)
    def detect(self, images: list[bytes]) -> list[list[dict[str, Any]]]:
        """PNG pictures to detections above 0.05; `shown` is what training's threshold of the category says."""
        photos = [Image.open(io.BytesIO(content)) for content in images]
        rules = self._detector.rules
        least = dict(zip(rules.labels, rules.thresholds, strict=True))
        return [
            [
                {
                    "category": one.category.value,
                    "score": one.score,
                    "box": list(one.box_xyxy_px),
                    "shown": one.score >= least[one.category],
                }
                for one in found
            ]
            for found in self._detector.predict(photos, threshold=_LEAST_SCORE)
        ]

    @bentoml.api
    def similar(self, image: bytes, boxes: list[dict[str, Any]], k: int) -> dict[str, Any]:
        """`items`: catalog items of the same category that look like each box's content; or `error`."""
        from inference.retrieval.search import Index

        try:
            if self._index is None:
                self._index = Index.open(places().index)
            follow_release(self._index)
            photo = Image.open(io.BytesIO(image))
            return {"items": [self._lookalikes(photo, one, k) for one in boxes]}
        except AuraError as error:
            return as_answer(error)

    def _lookalikes(self, photo: Image.Image, found: dict[str, Any], k: int) -> list[dict[str, Any]]:
        hits = self._index.similar_items(photo.crop(_at_least_a_pixel(found["box"])), k, Category(found["category"]))
        return [
            {"item_id": hit.item_id, "title": hit.title, "category": hit.category, "similarity": hit.relevance}
            for hit in hits
        ]


@bentoml.service(name="visual_analysis", **api_part(_MODEL_PART_SECONDS))
@bentoml.asgi_app(app, path="/api/v1/visual-analysis")
class VisualAnalysis:
    """HTTP endpoints under `/api/v1/visual-analysis`."""

    model = bentoml.depends(DetectorModel)

    def __init__(self) -> None:
        die_with_parent()

    @app.post("/analyze")
    async def analyze(
        self,
        image: Annotated[UploadFile, File(description="JPEG, PNG or WEBP")],
        threshold: Annotated[
            float | None,
            Query(ge=_LEAST_SCORE, le=1, description="least confidence; without it, the best one of each category"),
        ] = None,
        similar: Annotated[int, Query(ge=0, le=10, description="catalog items per garment")] = 0,
    ) -> Analysis:
        """Garments of one photo with category, confidence and box; on request with similar catalog items."""
        limits = places().serving
        refuse_large(image.size, limits)
        # Decoding a large photo takes long; other requests go on meanwhile.
        photo = await asyncio.to_thread(decode, await image.read(), limits)
        content = await asyncio.to_thread(encode, photo)
        detected = (await self.model.to_async.detect([content]))[0]
        found = [
            {name: one[name] for name in ("category", "score", "box")}
            for one in detected
            if (one["shown"] if threshold is None else one["score"] >= threshold)
        ]
        looks: list[list[dict[str, Any]]] = [[] for _ in found]
        if similar and found:
            answer = await self.model.to_async.similar(image=content, boxes=found, k=similar)
            raise_error_of(answer)
            looks = answer["items"]
        return Analysis(
            width=photo.width,
            height=photo.height,
            garments=[
                Garment(**one, similar=[Similar(**hit) for hit in hits]) for one, hits in zip(found, looks, strict=True)
            ],
            model=await self.model.to_async.about(),
        )

    @app.get("/health")
    async def health(self) -> Health:
        """Answers when the model part does."""
        return Health(profile=places().profile, model=await self.model.to_async.about())


def _at_least_a_pixel(box: list[float]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(value) for value in box)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)


answer_unknown_paths(app)
