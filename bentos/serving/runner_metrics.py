"""How a service and its runner count what passes between them: the queue, the batches, the versions that answer."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bentos.serving.messages import ReleaseVersions, RunnerRequest
from bentos.serving.metrics import (
    BATCH_SIZE,
    GENERATED_TOKENS,
    GPU_MEMORY,
    INFERENCE_SECONDS,
    QUEUE_DEPTH,
    QUEUE_SECONDS,
    TOKENS_PER_SECOND,
    VERSIONS,
)

_answering: set[tuple[str, str, str]] = set()
"""Release, name and version of what this process last said that it answers from."""


@contextmanager
def sent_to_runner(method: str) -> Iterator[None]:
    """Around a call of a runner, in the service: the request waits in the queue until `inference` begins.

    The two count into one gauge, so that whatever ends a process or a call leaves no request behind: what a killed process
    counted is forgotten, and each undoes only what it did.
    """
    with QUEUE_DEPTH.labels(method).track_inprogress():
        yield


@contextmanager
def inference(method: str, requests: Sequence[RunnerRequest]) -> Iterator[None]:
    """Around the work on a batch of requests, in the runner."""
    now = time.time()
    for request in requests:
        QUEUE_SECONDS.labels(method).observe(max(0.0, now - request.sent_at))
    BATCH_SIZE.labels(method).observe(len(requests))
    waiting = QUEUE_DEPTH.labels(method)
    waiting.dec(len(requests))
    try:
        with INFERENCE_SECONDS.labels(method).time():
            yield
    finally:
        waiting.inc(len(requests))
        _note_gpu_memory()


@contextmanager
def generation(token_count: Callable[[str], int]) -> Iterator[list[str]]:
    """Around the making of a chat answer, in the runner; gives the list that its sentences are put into.

    Args:
        token_count: tokens of a text, as the model counts them.
    """
    began = time.perf_counter()
    sentences: list[str] = []
    try:
        yield sentences
    finally:
        tokens = sum(map(token_count, sentences))
        GENERATED_TOKENS.inc(tokens)
        TOKENS_PER_SECOND.observe(tokens / (time.perf_counter() - began))


def note_versions(release: ReleaseVersions) -> None:
    """Say what the service answers from."""
    now = {(release.id, name, version) for name, version in release.versions.items()}
    # Prometheus' client cannot remove a series that several processes may have written.
    for labels in _answering - now:
        VERSIONS.labels(*labels).set(0)
    for labels in now - _answering:
        VERSIONS.labels(*labels).set(1)
    _answering.clear()
    _answering.update(now)


def _note_gpu_memory() -> None:
    torch = sys.modules.get("torch")  # a runner without it has no GPU, and a service never needs it
    if torch is None or not torch.cuda.is_initialized():
        return
    for device in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(device)
        GPU_MEMORY.labels(str(device), "used").set(total - free)
        GPU_MEMORY.labels(str(device), "total").set(total)
