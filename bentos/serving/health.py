"""Health of a service: whether its runner answers, asked with a time limit.

The states: *live*, the process answers but the runner does not, with status 503; *ready*; *degraded*, the service answers, but
without what `reasons` name.

BentoML's client of a runner waits as long as a request may take, and circus opens the runner's socket before the models are
loaded: a plain call would hang until they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, Literal, TypeVar

from bentoml.exceptions import BentoMLException
from pydantic import BaseModel, Field, computed_field

from bentos.serving.errors import RUNNER_LOST, NotReadyError
from bentos.serving.messages import ModelVersion, ReleaseVersions, Status
from bentos.serving.release_header import note_release
from bentos.serving.runner_metrics import note_versions

HEALTH_SECONDS = 2.0
"""Limit of a health check."""
_FIRST_SECONDS = 0.2
"""Limit until the runner has answered for the first time: it is loading, and an answer can only say so."""
_BEGINNING = "is being loaded; before the first night it waits for a model"

StatusType = TypeVar("StatusType", bound=Status)


class Health(BaseModel):
    """The service can answer; from which versions, and what it answers without."""

    reasons: list[str] = Field(description="what the service answers without; empty when it is ready")
    profile: str
    model: ModelVersion
    release: ReleaseVersions = Field(description="what serves now")

    @computed_field  # type: ignore[prop-decorator]
    @property
    def state(self) -> Literal["ready", "degraded"]:
        """`degraded` when there are reasons."""
        return "degraded" if self.reasons else "ready"


class Readiness(Generic[StatusType]):
    """Asks the runner for its status, once at a time: health checks that come meanwhile wait for the same answer.

    Args:
        ask: calls the runner; not its method, because BentoML's client gets its methods when the service has started.
        limit_seconds: seconds that a question may take. One that takes longer goes on, so that every check in the meantime is
            answered at once.
    """

    def __init__(self, ask: Callable[[], Awaitable[StatusType]], limit_seconds: float = HEALTH_SECONDS) -> None:
        self._ask = ask
        self._limit_seconds = limit_seconds
        self._has_answered = False
        self._question: asyncio.Future[StatusType] | None = None
        self._asked_at = 0.0

    async def status(self) -> StatusType:
        """The runner's status.

        Raises:
            NotReadyError: it is loading, has died, or does not answer within the limit.
        """
        now = asyncio.get_running_loop().time()
        if self._question is None or self._question.done():
            self._question, self._asked_at = asyncio.ensure_future(self._ask()), now
            self._question.add_done_callback(_seen)
        question = self._question
        limit = self._limit_seconds if self._has_answered else min(_FIRST_SECONDS, self._limit_seconds)
        # Not wait_for: it would cancel a question that others wait for.
        await asyncio.wait({question}, timeout=max(0.0, self._asked_at + limit - now))
        if not question.done():
            state = "does not answer in time" if self._has_answered else _BEGINNING
            raise NotReadyError(f"the process with the model {state}")
        try:
            status = question.result()
        except (BentoMLException, *RUNNER_LOST) as error:
            raise NotReadyError("the process with the model has ended and is being started again") from error
        self._has_answered = True
        note_release(status.release)
        note_versions(status.release)
        return status


def _seen(question: asyncio.Future[StatusType]) -> None:
    """Keep asyncio from reporting the error of a question for which nobody waited to the end."""
    if not question.cancelled():
        question.exception()
