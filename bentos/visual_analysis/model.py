"""Runner of the visual analysis service: one worker on one device, whose requests are batched across callers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml

from aura.errors import AuraError
from aura.heavy_imports import heavy_imports
from aura.training_sources import notice_of
from bentos.serving.assets import Assets, ServedIndex
from bentos.serving.batch_answers import answer_together
from bentos.serving.bentoml_options import named_media_types, runner_options
from bentos.serving.errors import Failure
from bentos.serving.process import start_process
from bentos.serving.request_log import logger
from bentos.visual_analysis.messages import (
    LEAST_SCORE,
    AnalyzeRequest,
    FoundGarments,
    Garment,
    RunnerStatus,
    Similar,
)

if TYPE_CHECKING:  # the service never needs torch
    from PIL import Image

    from inference.detection.detector import Detection, Detector
    from inference.retrieval.search import Index

RUNNER_SECONDS = 60
_NO_INDEX = "photos are analysed without similar items: no index is served yet"


@named_media_types
@bentoml.service(name="visual_analysis_model", **runner_options(RUNNER_SECONDS))
class DetectorRunner:
    """The champion of the detector and the index of the catalog, in a separate process."""

    def __init__(
        self, assets: Assets | None = None, load_detector: Callable[[Path, str], Detector] | None = None
    ) -> None:
        """BentoML passes nothing: then the assets are those of this process, and the artifact is loaded."""
        self._assets = assets or start_process()
        if load_detector is None:
            with heavy_imports(at_start=True):
                from inference.engines.chosen import load_for_serving

            load_detector = partial(load_for_serving, engine=self._assets.serving.engine)
        champion = self._assets.champion("detection")
        self._version = champion.version
        self._notice = notice_of(champion.folder)
        self._detector = load_detector(champion.folder, self._assets.serving.device)
        self._index: ServedIndex | None = None
        # Opened now: later it would take seconds, in which a whole batch of photos would wait.
        try:
            self._index = self._assets.index(pictures=True)
        except AuraError as error:
            logger.warning("photos are analysed without similar items until the index is there: %s", error.message)

    @bentoml.api
    async def status(self) -> RunnerStatus:
        """Async, so that it does not wait for the detector."""
        degraded = self._index.degraded if self._index else [_NO_INDEX]
        return RunnerStatus(model=self._version, degraded=degraded, canvas_px=self._detector.canvas_px)

    @bentoml.api
    def analyze(self, requests: list[AnalyzeRequest]) -> list[FoundGarments | Failure]:
        """Garments of each photo, on request with catalog items of the same category that look like them.

        The photos are detected as one batch; a photo whose lookup fails does not fail the others.
        """
        return answer_together(
            requests,
            lambda request: request.photo.image(),
            lambda _, photos: self._detector.predict(photos, threshold=LEAST_SCORE),
            self._found,
        )

    def _found(self, request: AnalyzeRequest, photo: Image.Image, detected: list[Detection]) -> FoundGarments:
        rules = self._detector.rules
        trained = dict(zip(rules.labels, rules.thresholds, strict=True))
        shown = [
            detection
            for detection in detected
            if detection.score >= (trained[detection.category] if request.threshold is None else request.threshold)
        ]
        similar: list[list[Similar]] = [[] for _ in shown]
        if request.similar and shown:
            index = self._current_index()
            similar = [_similar(index, photo, detection, request.similar) for detection in shown]
        garments = [
            Garment(category=detection.category, score=detection.score, box=detection.box_xyxy_px, similar=hits)
            for detection, hits in zip(shown, similar, strict=True)
        ]
        return FoundGarments(
            garments=garments, model=self._version, notice=self._notice, canvas_px=self._detector.canvas_px
        )

    def _current_index(self) -> Index:
        if self._index is None:  # there was none when this process started
            self._index = self._assets.index(pictures=True)
        return self._index.current()


def _similar(index: Index, photo: Image.Image, found: Detection, k: int) -> list[Similar]:
    hits = index.similar_items(photo.crop(_at_least_a_pixel(found.box_xyxy_px)), k, found.category)
    return [
        Similar(item_id=hit.item_id, title=hit.title, category=hit.category, similarity=hit.relevance) for hit in hits
    ]


def _at_least_a_pixel(box_xyxy_px: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (round(value) for value in box_xyxy_px)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)
