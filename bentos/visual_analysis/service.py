"""HTTP endpoints of the visual analysis service: it decodes and checks photos; its runner analyses them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Coroutine, Sequence
from typing import Annotated, Any

import bentoml
from fastapi import Query, Request, Response

from aura.errors import InvalidRequestError
from aura.pictures import FORMATS
from bentos.serving.app import answer_unknown_paths, make_app
from bentos.serving.assets import Assets
from bentos.serving.batching import Batcher
from bentos.serving.bentoml_options import service_options
from bentos.serving.disconnect import while_connected
from bentos.serving.docs_page import root_page
from bentos.serving.errors import NotReadyBody, error_detail
from bentos.serving.health import Health
from bentos.serving.image_part import ImagePart
from bentos.serving.images import SentImage
from bentos.serving.media_types import JSON
from bentos.serving.metrics import metrics_app
from bentos.serving.runner_metrics import sent_to_runner
from bentos.serving.uploads import SentFile, upload_schema, uploaded, uploaded_files
from bentos.visual_analysis.annotated import annotated_jpeg
from bentos.visual_analysis.figures import photo_figures
from bentos.visual_analysis.messages import (
    AnalyzeRequest,
    CanvasSize,
    FoundGarments,
    Garment,
    Runner,
)
from bentos.visual_analysis.model import RUNNER_SECONDS, DetectorRunner
from bentos.visual_analysis.schemas import (
    Analysis,
    AnalysisOptions,
    AnalyzedGarment,
    GarmentColour,
    PhotoAnswer,
    PhotoAnswers,
)
from inference.garment_colours import measured_colours_in

PATH = "/api/v1/visual-analysis"
MAX_PHOTOS = 4
"""Photos that are detected as one batch. With more, the network's maps leave the cache of a core, and each takes longer."""
MAX_UPLOADS = 8
"""Photos per request."""
_JPEG = "image/jpeg"
_LEAST_COLOUR = 0.05
app = make_app("Aura visual analysis", "Finds garments in photos.", image_paths=("/analyze", "/analyze/photos"))


@bentoml.service(name="visual_analysis", **service_options(RUNNER_SECONDS))
@bentoml.asgi_app(app, path=PATH)
@bentoml.asgi_app(metrics_app, path="/")
@bentoml.asgi_app(root_page(app, PATH), path="/")
class VisualAnalysis(ImagePart[Runner]):
    """Endpoints under `/api/v1/visual-analysis`."""

    runner = bentoml.depends(DetectorRunner)

    def __init__(self, assets: Assets | None = None, runner: Runner | None = None) -> None:
        """BentoML passes nothing: then the assets and the runner are those of this process."""
        super().__init__(app, "visual_analysis", assets, runner or self.runner.to_async)
        self._batcher: Batcher[AnalyzeRequest, FoundGarments] = Batcher(
            lambda requests: self._runner.analyze(requests=requests),
            max_batch=MAX_PHOTOS, seconds=self._assets.serving.answer_seconds,
        )  # fmt: skip
        self._canvas: CanvasSize | None = None

    @app.post(
        "/analyze",
        response_model=Analysis,
        responses={200: {"content": {_JPEG: {"schema": {"type": "string", "format": "binary"}}}}},
        openapi_extra=upload_schema("image", FORMATS),
    )
    async def analyze(self, upload: Request, options: Annotated[AnalysisOptions, Query()]) -> Analysis | Response:
        """Garments of one photo with category, confidence and box; on request with colours and similar catalog items.

        With `Accept: image/jpeg` the answer is the photo itself, with the boxes drawn.
        """
        file = await uploaded(upload, "image", self._assets.serving)
        as_picture = _wants_picture(upload)
        if as_picture:
            options = options.model_copy(update={"annotate": True})
        analysis = await while_connected(upload, self._kept_analysis(file, options))
        if as_picture:
            return Response(base64.b64decode(analysis.annotated_jpeg or ""), media_type=_JPEG)
        return analysis

    @app.post("/analyze/photos", openapi_extra=upload_schema("photos", FORMATS, MAX_UPLOADS))
    async def analyze_photos(self, upload: Request, options: Annotated[AnalysisOptions, Query()]) -> PhotoAnswers:
        """Garments of several photos. In the place of a photo that cannot be read stands what is wrong with it."""
        files = await uploaded_files(upload, "photos", MAX_UPLOADS)

        async def answers() -> list[PhotoAnswer]:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._photo_answer(file, options)) for file in files]
            return [task.result() for task in tasks]

        try:
            return PhotoAnswers(photos=await while_connected(upload, answers()))
        except ExceptionGroup as failed:  # the service's own failure; of several, they are of one kind
            raise failed.exceptions[0] from None

    async def _photo_answer(self, file: SentFile, options: AnalysisOptions) -> PhotoAnswer:
        try:
            return PhotoAnswer(file_name=file.name, analysis=await self._kept_analysis(file.content, options))
        except InvalidRequestError as error:
            return PhotoAnswer(file_name=file.name, error=error_detail(error))

    def _kept_analysis(self, file: bytes, options: AnalysisOptions) -> Coroutine[Any, Any, Analysis]:
        question = options.model_dump_json().encode() + file
        return self._cache.answer("analyze", question, Analysis, lambda: self._analysis(file, options))

    async def _analysis(self, file: bytes, options: AnalysisOptions) -> Analysis:
        # Garments are cut out of the photo to be looked up, and boxes drawn on it: then it is decoded larger than the canvas.
        large = options.similar > 0 or options.annotate
        photo, found = await self._analysed(file, options.threshold, options.similar, large=large)
        colours: list[list[GarmentColour]] = [[] for _ in found.garments]
        annotated = None
        if options.colours:
            colours = await asyncio.to_thread(_colours, photo, found.garments)
        if options.annotate:
            picture = await asyncio.to_thread(annotated_jpeg, photo.pixels.image(), found.garments)
            annotated = base64.b64encode(picture).decode()
        garments = [
            AnalyzedGarment(**{**dict(garment), "box": photo.as_sent(garment.box), "colours": seen})
            for garment, seen in zip(found.garments, colours, strict=True)
        ]
        return Analysis(
            width=photo.width_px, height=photo.height_px, garments=garments, model=found.model, release=found.release,
            notice=found.notice, annotated_jpeg=annotated,
        )  # fmt: skip

    async def _analysed(
        self, content: bytes, threshold: float | None, similar: int, *, large: bool = False
    ) -> tuple[SentImage, FoundGarments]:
        """The photo as the runner got it, and what it found."""
        canvas = self._canvas or (await self._readiness.status()).canvas_px
        photo, found = await self._sent(content, None if large else canvas, threshold, similar)
        if not large and found.canvas_px != canvas:  # another detector serves since: it may see more
            photo, found = await self._sent(content, found.canvas_px, threshold, similar)
        self._canvas = found.canvas_px
        return photo, found

    async def _sent(
        self, content: bytes, canvas: CanvasSize | None, threshold: float | None, similar: int
    ) -> tuple[SentImage, FoundGarments]:
        photo = await self._decoder.decode(content, box=canvas)
        request = AnalyzeRequest(photo=photo.pixels, threshold=threshold, similar=similar)
        with sent_to_runner("analyze"):
            found = await self._batcher.answer(request)
        self._predictions.note("analyze", found, request.age_seconds, lambda: photo_figures(photo, found))
        return photo, found

    @app.get("/health", responses={503: {"model": NotReadyBody}})
    async def health(self) -> Health:
        """Ready, or degraded and why; at once."""
        status = await self._readiness.status()
        return Health(
            profile=self._assets.profile, model=status.model, release=status.release,
            reasons=[*status.degraded, *await self._cache.problems(), *await self._predictions.problems()],
        )  # fmt: skip


def _wants_picture(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return _JPEG in accepted and JSON not in accepted


def _colours(photo: SentImage, garments: Sequence[Garment]) -> list[list[GarmentColour]]:
    """Colours of each garment that cover a twentieth of it or more."""
    image = photo.pixels.image()
    measured = [measured_colours_in(image, garment.box) for garment in garments]
    return [
        [
            GarmentColour(name=colour.name, hex=colour.hex, share=round(colour.share, 3))
            for colour in colours
            if colour.share >= _LEAST_COLOUR
        ]
        for colours in measured
    ]


answer_unknown_paths(app)
