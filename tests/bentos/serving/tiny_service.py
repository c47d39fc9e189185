"""The smallest service that is built as the real ones are; `bentoml serve tests.bentos.serving.tiny_service:Tiny` runs it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import bentoml
from asgi_correlation_id import correlation_id

from aura.supervision import die_with_parent
from bentos.serving.app import answer_unknown_paths, make_app
from bentos.serving.bentoml_options import runner_options, service_options
from bentos.serving.errors import Failure, NotReadyBody, answer_or_failure, raise_failure
from bentos.serving.health import Health, Readiness
from bentos.serving.messages import ModelVersion, ReleaseVersions, RunnerAnswer, RunnerRequest, Status
from bentos.serving.metrics import metrics_app
from bentos.serving.process import HttpPart
from bentos.serving.request_log import log_json_lines, logger
from bentos.serving.runner_metrics import inference, sent_to_runner

LOADED = "TINY_LOADED"
"""Environment variable with a file: the model is loaded when it is there."""

app = make_app("Tiny", "Has no model.")


def _version() -> ModelVersion:
    """Its number is the id of the process that answers."""
    return ModelVersion(name="tiny", version=str(os.getpid()))


@bentoml.service(name="tiny_model", **runner_options(60))
class TinyRunner:
    def __init__(self) -> None:
        die_with_parent()
        log_json_lines()
        while not Path(os.environ[LOADED]).exists():
            time.sleep(0.05)

    @bentoml.api
    async def status(self) -> Status:
        return Status(model=_version(), release=ReleaseVersions(id="1", versions={"tiny": _version().version}))

    @bentoml.api
    def work(self, request: RunnerRequest) -> RunnerAnswer | Failure:
        with inference("work", [request]):
            return answer_or_failure(request, lambda _: RunnerAnswer(model=_version()))

    @bentoml.api
    async def stream(self, request: RunnerRequest) -> AsyncGenerator[bytes, None]:
        """Two pieces, the second a while after the first, with a line of the log for each."""
        correlation_id.set(request.request_id)
        for piece in (b"a", b"b"):
            await asyncio.sleep(0.2)
            logger.info("streamed %s", piece.decode())
            yield piece


@bentoml.service(name="tiny", **service_options(60))
@bentoml.asgi_app(app, path="/api/v1/tiny")
@bentoml.asgi_app(metrics_app, path="/")
class Tiny(HttpPart):
    runner = bentoml.depends(TinyRunner)

    def __init__(self) -> None:
        die_with_parent()
        log_json_lines()
        self._runner = self.runner.to_async
        self._readiness = Readiness(lambda: self._runner.status())

    @app.get("/work")
    async def work(self) -> RunnerAnswer:
        with sent_to_runner("work"):
            return raise_failure(await self._runner.work(request=RunnerRequest()))

    @app.get("/stream")
    async def stream(self) -> str:
        async with aclosing(self._runner.stream(request=RunnerRequest())) as pieces:
            return "".join([piece.decode() async for piece in pieces])

    @app.get("/health", responses={503: {"model": NotReadyBody}})
    async def health(self) -> Health:
        status = await self._readiness.status()
        return Health(profile="sample", model=status.model, release=status.release, reasons=status.degraded)


answer_unknown_paths(app)
