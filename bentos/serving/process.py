"""The processes of a service: what each does first, what replaces one that died, when the service is ready."""

from __future__ import annotations

import gc
import os
from typing import Any, Protocol

import bentoml

from aura.supervision import die_with_parent
from bentos.serving.assets import Assets, open_assets
from bentos.serving.errors import NotReadyError
from bentos.serving.request_log import log_json_lines, logger
from inference.retrieval.settings import pinecone_notice


def start_process() -> Assets:
    """Begin a process of a service: it ends with the run that started it, and logs JSON lines; returns its assets.

    Raises:
        SettingsError: what `open_assets` raises.
    """
    die_with_parent()
    log_json_lines()
    # What was imported stays as long as the process. To look through it for garbage takes half a second, and nobody is answered.
    gc.freeze()
    return open_assets()


class AnswersReadiness(Protocol):
    """What a service asks whether it is ready."""

    async def status(self) -> Any:
        """Anything.

        Raises:
            NotReadyError: the service is not ready.
        """
        ...


class HttpPart:
    """Base of every class with the endpoints of a service; it sets `_readiness`."""

    _readiness: AnswersReadiness

    @bentoml.on_deployment
    def prepare_supervisor() -> None:
        """Let BentoML's supervisor start processes again, in containers too; called there before it starts any.

        The processes inherit its environment. With `BENTOML_CONTAINERIZED`, which BentoML's images set, a process that died
        is not started again, on the assumption that the container ends with it. But the supervisor lives on, and a service
        without its runner would do so for ever.
        """
        os.environ.pop("BENTOML_CONTAINERIZED", None)
        os.environ.setdefault("TQDM_DISABLE", "1")  # a progress bar is no JSON line
        # Threads of torch that wait for each other spin by default. The processes of a service share the cores: a text that takes
        # 27 ms of processor time to embed takes 240 ms then, as soon as another process works (2 threads, 2 cores).
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        log_json_lines()
        if notice := pinecone_notice(os.environ):
            logger.warning(notice)

    async def __is_ready__(self) -> bool:
        """Answer of `/readyz`."""
        try:
            await self._readiness.status()
        except NotReadyError:
            return False
        return True
