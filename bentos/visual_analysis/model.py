"""Runner of the visual analysis service: one worker on one device, whose requests are batched across callers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml

from aura.errors import IndexNotReadyError
from aura.heavy_imports import heavy_imports
from aura.releases import Release
from aura.training_sources import notice_of
from bentos.serving.assets import Assets
from bentos.serving.batch_answers import answer_together
from bentos.serving.bentoml_options import named_media_types, runner_options
from bentos.serving.errors import Failure
from bentos.serving.following import Following, Loaded
from bentos.serving.process import start_process
from bentos.serving.runner_metrics import inference
from bentos.visual_analysis.messages import (
    LEAST_SCORE,
    AnalyzeRequest,
    FoundGarments,
    Garment,
    RunnerStatus,
    Similar,
    at_least_a_pixel,
)
from inference.detection.smoke_test import SMOKE_TEST
from inference.smoke_test import check_loaded

if TYPE_CHECKING:  # the service never needs torch
    from PIL import Image

    from inference.detection.artifact import LabelRules
    from inference.detection.detector import Detection, Detector
    from inference.retrieval.search import Index

MODEL = "detection"
RUNNER_SECONDS = 60
_NO_INDEX = "photos are analysed without similar items: no index is served yet"


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedDetector(Loaded):
    """What photos are analysed with.

    Attributes:
        notice: what a caller must know of what the model has learnt.
    """

    detector: Detector
    notice: str | None


@named_media_types
@bentoml.service(name="visual_analysis_model", **runner_options(RUNNER_SECONDS))
class DetectorRunner:
    """The release's detector and index of the catalog, in a separate process."""

    def __init__(
        self, assets: Assets | None = None, load_detector: Callable[[Path, str], Detector] | None = None
    ) -> None:
        """BentoML passes nothing: then the assets are those of this process, and the artifact is loaded."""
        self._assets = assets or start_process()
        if load_detector is None:
            with heavy_imports(at_start=True):
                from inference.engines.chosen import load_for_serving

            load_detector = partial(load_for_serving, engine=self._assets.serving.engine, in_background=True)
        self._load_detector = load_detector
        self._served = Following(self._assets, MODEL, partial(self._assets.index, pictures=True), self._load)

    def _load(self, release: Release, index: Index | None, before: LoadedDetector | None) -> LoadedDetector:
        if before and before.has_model_of(release):
            return replace(before, release=release, index=index)
        with self._assets.champion(MODEL, release) as champion:
            detector = self._load_detector(champion.folder, self._assets.serving.device)
            check_loaded(SMOKE_TEST, detector, champion.folder)
            notice = _notice(champion.folder, detector.rules)
        return LoadedDetector(release=release, model_name=MODEL, index=index, detector=detector, notice=notice)

    @bentoml.api
    async def status(self) -> RunnerStatus:
        """Async, so that it does not wait for the detector."""
        served = self._served.now()
        lacks = [] if served.index else [_NO_INDEX]
        return RunnerStatus(
            model=served.version, release=served.versions, degraded=self._served.degraded + lacks,
            canvas_px=served.detector.canvas_px,
        )  # fmt: skip

    @bentoml.api
    def analyze(self, requests: list[AnalyzeRequest]) -> list[FoundGarments | Failure]:
        """Garments of each photo, on request with catalog items of the same category that look like them.

        The photos are detected as one batch; a photo whose lookup fails does not fail the others.
        """
        served = self._served.now()
        with inference("analyze", requests):
            return answer_together(
                requests,
                lambda request: request.photo.image(),
                lambda _, photos: served.detector.predict(photos, threshold=LEAST_SCORE),
                partial(self._found, served),
            )

    def _found(
        self, served: LoadedDetector, request: AnalyzeRequest, photo: Image.Image, detected: list[Detection]
    ) -> FoundGarments:
        rules = served.detector.rules
        trained = dict(zip(rules.labels, rules.thresholds, strict=True))
        shown = [
            detection
            for detection in detected
            if detection.score >= (trained[detection.category] if request.threshold is None else request.threshold)
        ]
        similar: list[list[Similar]] = [[] for _ in shown]
        if request.similar and shown:
            if served.index is None:
                raise IndexNotReadyError("no index is served yet")
            similar = [_similar(served.index, photo, detection, request.similar) for detection in shown]
        garments = [
            Garment(category=detection.category, score=detection.score, box=detection.box_xyxy_px, similar=hits)
            for detection, hits in zip(shown, similar, strict=True)
        ]
        return FoundGarments(
            garments=garments, model=served.version, release=served.versions, notice=served.notice,
            canvas_px=served.detector.canvas_px,
        )  # fmt: skip


def _notice(artifact: Path, rules: LabelRules) -> str | None:
    """What to tell whoever gets the garments; None: nothing."""
    said = [notice] if (notice := notice_of(artifact)) else []
    if rules.not_shown:
        names = ", ".join(label.value for label in rules.not_shown)
        said.append(
            f"Shown only to a threshold of your own, as too few of the boxes that the model finds for them are right: {names}."
        )
    return " ".join(said) or None


def _similar(index: Index, photo: Image.Image, found: Detection, k: int) -> list[Similar]:
    hits = index.similar_items(photo.crop(at_least_a_pixel(found.box_xyxy_px)), k, found.category)
    return [
        Similar(item_id=hit.item_id, title=hit.title, category=hit.category, similarity=hit.relevance) for hit in hits
    ]
