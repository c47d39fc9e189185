"""What the services that take images share: their assets, runner and readiness, and the processes that decode."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

import bentoml
from fastapi import FastAPI

from bentos.serving.app import apply_settings
from bentos.serving.assets import Assets
from bentos.serving.cache import AnswerCache
from bentos.serving.decoders import ImageDecoder
from bentos.serving.health import Readiness
from bentos.serving.messages import Status
from bentos.serving.prediction_log import PredictionLog
from bentos.serving.process import HttpPart, start_process


class AnswersStatus(Protocol):
    """A runner, or BentoML's client of one."""

    async def status(self) -> Status: ...


RunnerType = TypeVar("RunnerType", bound=AnswersStatus)


class ImagePart(HttpPart, Generic[RunnerType]):
    """Base of the classes with the endpoints of these services."""

    def __init__(self, app: FastAPI, service: str, assets: Assets | None, runner: RunnerType) -> None:
        """`service` is its name; without assets, they are those of this process."""
        self._assets = assets or start_process()
        self._runner = runner
        self._readiness: Readiness[Any] = Readiness(lambda: self._runner.status())
        self._cache = AnswerCache.of(self._assets, self._readiness.status)
        self._decoder = ImageDecoder(self._assets.serving)
        self._predictions = PredictionLog.of(service, self._assets.serving)
        apply_settings(app, self._assets.serving)

    @bentoml.on_shutdown
    def end_decoders(self) -> None:
        """End the processes that wait for images."""
        self._decoder.close()

    @bentoml.on_shutdown
    async def close_predictions(self) -> None:
        """Write what the prediction log still holds."""
        await self._predictions.close()
