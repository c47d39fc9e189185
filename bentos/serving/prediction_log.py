"""A service's part of the prediction log: a sample of its answers, in figures, written behind them.

Noting costs an answer microseconds and can neither fail nor delay it: what is noted waits in a bounded queue for a task that
writes it to the database in batches. What cannot be written is dropped and counted (`aura_predictions_total`).
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Self

from aura.errors import DatabaseError, DatabaseUnavailableError
from bentos.serving.messages import RunnerAnswer
from bentos.serving.metrics import PREDICTIONS
from bentos.serving.request_log import logger
from bentos.serving.settings import ServingSettings
from stores.address import given_url
from stores.database import Database
from stores.predictions import Figures, Prediction, Predictions

_WAITING = 1000
"""Predictions that wait to be written; further ones are dropped."""
_BATCH = 200
_GATHER_SECONDS = 1.0
"""Seconds from a prediction to its writing, in which others join it."""
_CHECK_SECONDS = 5.0
"""Seconds without a prediction after which the database is asked whether it would take one: health says so."""
_AGAIN_SECONDS = 1.0
"""The same, while it would not."""
_CLOSE_SECONDS = 2.0


class PredictionLog:
    """Records a share of a service's predictions.

    Args:
        service: its name.
        share: of the predictions, 0 to 1.
        database: where they are kept; None: nowhere.
    """

    def __init__(self, service: str, share: float, database: Database | None) -> None:
        self._service, self._share, self._database = service, share, database if share > 0 else None
        self._waiting: deque[Prediction] = deque()
        self._noted = asyncio.Event()
        self._between_writes = asyncio.Lock()
        self._writing: asyncio.Task[None] | None = None
        self._problem = ""

    @classmethod
    def of(cls, service: str, serving: ServingSettings) -> Self:
        """The log as settings and environment say, with a connection of its own: other work never waits for it.

        Raises:
            SettingsError: `AURA_DATABASE_URL` is no address of a PostgreSQL server.
        """
        url = given_url()
        settings = serving.database.model_copy(update={"connections": 1})
        return cls(service, serving.predictions_share, Database(url, settings) if url else None)

    def note(self, endpoint: str, answer: RunnerAnswer, seconds: float, figures: Callable[[], Figures]) -> None:
        """Record an answer, if it belongs to the sample; called in the event loop.

        Args:
            endpoint: last part of its path.
            seconds: that it took.
            figures: called for answers of the sample alone.
        """
        if self._database is None or random.random() >= self._share:
            return
        self._begin()
        if len(self._waiting) >= _WAITING:
            PREDICTIONS.labels("queue_full").inc()
            return
        try:
            prediction = Prediction(
                made_at=datetime.now(UTC), service=self._service, endpoint=endpoint, release=answer.release.id,
                versions={answer.model.name: answer.model.version} | answer.release.versions, seconds=seconds,
                figures=figures(),
            )  # fmt: skip
        except Exception:  # the answer is made: whatever is wrong with its figures, its caller gets it
            PREDICTIONS.labels("failed").inc()
            logger.exception("no figures of a prediction")
            return
        self._waiting.append(prediction)
        self._noted.set()

    async def problems(self) -> list[str]:
        """Why predictions are not recorded, in words for callers; nothing where they need not be."""
        self._begin()
        return [f"predictions are not recorded: {self._problem}"] if self._problem else []

    async def close(self) -> None:
        """Write what waits, unless the database is away, and close the connection."""
        if self._database is None:
            return
        if self._writing is not None:
            # Between two writes: one that was committed, and not taken from the queue, would be written a second time.
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS), self._between_writes:
                    await self._stop_writing(self._writing)
                    await self._database.open()  # the task may not have come so far
                    while self._waiting:
                        await self._write_batch(self._database)
            await self._stop_writing(self._writing)
        await self._database.close()

    async def _stop_writing(self, writing: asyncio.Task[None]) -> None:
        writing.cancel()
        await asyncio.wait({writing})

    def _begin(self) -> None:
        if self._database is not None and self._writing is None:
            self._writing = asyncio.create_task(self._write(self._database))

    async def _write(self, database: Database) -> None:
        await database.open()
        while True:
            async with self._between_writes:
                await self._write_batch(database)
            with suppress(TimeoutError):
                async with asyncio.timeout(_AGAIN_SECONDS if self._problem else _CHECK_SECONDS):
                    await self._noted.wait()
                await asyncio.sleep(_GATHER_SECONDS)

    async def _write_batch(self, database: Database) -> None:
        """Write what waits, some of it where it is much. An empty batch finds out whether it could be written."""
        batch = [*islice(self._waiting, _BATCH)]
        problem = ""
        try:
            await database.run(lambda connection: Predictions(connection).add(batch))
        except Exception as error:  # it must go on: the next batch may be written
            problem = _reason(error)
            if problem != self._problem:
                logger.warning(
                    "predictions are not recorded: %s", problem, exc_info=not isinstance(error, DatabaseError)
                )
        if self._problem and not problem:
            logger.info("predictions are recorded again")
        self._problem = problem
        for _ in batch:
            self._waiting.popleft()
        PREDICTIONS.labels("database_away" if problem else "recorded").inc(len(batch))
        if not self._waiting:
            self._noted.clear()


def _reason(error: Exception) -> str:
    if isinstance(error, DatabaseUnavailableError):
        return "the database does not answer"
    return error.message if isinstance(error, DatabaseError) else "the log says why"
