"""HTTP endpoints of the visual analysis service: it decodes and checks photos; its runner analyses them."""

from __future__ import annotations

from typing import Annotated

import bentoml
from fastapi import Query, Request

from aura.pictures import FORMATS
from bentos.serving.app import answer_unknown_paths, make_app
from bentos.serving.assets import Assets
from bentos.serving.batching import Batcher
from bentos.serving.bentoml_options import service_options
from bentos.serving.disconnect import while_connected
from bentos.serving.docs_page import root_page
from bentos.serving.errors import NotReadyBody
from bentos.serving.health import Health
from bentos.serving.image_part import ImagePart
from bentos.serving.images import SentImage
from bentos.serving.metrics import metrics_app
from bentos.serving.runner_metrics import sent_to_runner
from bentos.serving.uploads import upload_schema, uploaded
from bentos.visual_analysis.messages import LEAST_SCORE, AnalyzeRequest, CanvasSize, FoundGarments, Runner
from bentos.visual_analysis.model import RUNNER_SECONDS, DetectorRunner
from bentos.visual_analysis.schemas import Analysis

PATH = "/api/v1/visual-analysis"
MAX_PHOTOS = 4
"""Photos that are detected as one batch. With more, the network's maps leave the cache of a core, and each takes longer."""
app = make_app("Aura visual analysis", "Finds garments in photos.", image_paths=("/analyze",))


@bentoml.service(name="visual_analysis", **service_options(RUNNER_SECONDS))
@bentoml.asgi_app(app, path=PATH)
@bentoml.asgi_app(metrics_app, path="/")
@bentoml.asgi_app(root_page(PATH), path="/")
class VisualAnalysis(ImagePart[Runner]):
    """Endpoints under `/api/v1/visual-analysis`."""

    runner = bentoml.depends(DetectorRunner)

    def __init__(self, assets: Assets | None = None, runner: Runner | None = None) -> None:
        """BentoML passes nothing: then the assets and the runner are those of this process."""
        super().__init__(app, assets, runner or self.runner.to_async)
        self._batcher: Batcher[AnalyzeRequest, FoundGarments] = Batcher(
            lambda requests: self._runner.analyze(requests=requests),
            max_batch=MAX_PHOTOS, seconds=self._assets.serving.answer_seconds,
        )  # fmt: skip
        self._canvas: CanvasSize | None = None

    @app.post("/analyze", openapi_extra=upload_schema("image", FORMATS))
    async def analyze(
        self,
        upload: Request,
        threshold: Annotated[
            float | None,
            Query(ge=LEAST_SCORE, le=1, description="least confidence; without it, the best one of each category"),
        ] = None,
        similar: Annotated[int, Query(ge=0, le=10, description="catalog items per garment")] = 0,
    ) -> Analysis:
        """Garments of one photo with category, confidence and box; on request with similar catalog items."""
        file = await uploaded(upload, "image", self._assets.serving)
        work = self._cache.answer(
            "analyze", f"{threshold} {similar} ".encode() + file, Analysis,
            lambda: self._analysis(file, threshold, similar),
        )  # fmt: skip
        return await while_connected(upload, work)

    async def _analysis(self, file: bytes, threshold: float | None, similar: int) -> Analysis:
        photo, found = await self._analysed(file, threshold, similar)
        garments = [garment.model_copy(update={"box": photo.as_sent(garment.box)}) for garment in found.garments]
        return Analysis(
            width=photo.width_px,
            height=photo.height_px,
            garments=garments,
            model=found.model,
            release=found.release,
            notice=found.notice,
        )

    async def _analysed(self, content: bytes, threshold: float | None, similar: int) -> tuple[SentImage, FoundGarments]:
        """The photo as the runner got it, and what it found."""
        canvas = self._canvas or (await self._readiness.status()).canvas_px
        photo, found = await self._sent(content, canvas, threshold, similar)
        if found.canvas_px != canvas:  # another detector serves since: it may see more
            photo, found = await self._sent(content, found.canvas_px, threshold, similar)
        self._canvas = found.canvas_px
        return photo, found

    async def _sent(
        self, content: bytes, canvas: CanvasSize, threshold: float | None, similar: int
    ) -> tuple[SentImage, FoundGarments]:
        # Garments are cut out of the photo to be looked up: then it is sent larger than the canvas.
        photo = await self._decoder.decode(content, box=None if similar else canvas)
        request = AnalyzeRequest(photo=photo.pixels, threshold=threshold, similar=similar)
        with sent_to_runner("analyze"):
            return photo, await self._batcher.answer(request)

    @app.get("/health", responses={503: {"model": NotReadyBody}})
    async def health(self) -> Health:
        """Ready, or degraded and why; at once."""
        status = await self._readiness.status()
        return Health(
            profile=self._assets.profile, model=status.model, release=status.release,
            reasons=[*status.degraded, *await self._cache.problems()],
        )  # fmt: skip


answer_unknown_paths(app)
