"""Clients that ask a server as fast as it answers, and what they saw.

A closed loop: each client sends its next request when its last one is answered, so that a slow server is asked less. The clients
run in this process on one event loop, and cost a processor about a millisecond per request, whatever server they ask.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import aiohttp
import numpy as np

_LIMIT_SECONDS = 60.0
_HASTY_SECONDS = 0.05
"""After which a client that got no answer asks again, unless it is patient."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A POST as it goes over the wire."""

    path: str
    body: bytes = field(repr=False)
    content_type: str


@dataclass(kw_only=True)
class Outcome:
    """What clients saw of a server, in one round or in several.

    Attributes:
        seconds: that were measured.
        cpu_seconds: processor time of the server meanwhile.
        latencies: seconds of each answer with status 200.
        others: number of answers by status that is not 200; 0 where there was no answer.
        without_retry: refusals (429, 503) that did not say when to come again.
    """

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    others: Counter[int] = field(default_factory=Counter)
    without_retry: int = 0

    def __iadd__(self, other: Outcome) -> Outcome:
        self.seconds += other.seconds
        self.cpu_seconds += other.cpu_seconds
        self.latencies += other.latencies
        self.others += other.others
        self.without_retry += other.without_retry
        return self

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds if self.seconds else 0.0

    def quantile_ms(self, share: float) -> float:
        """Latency in ms that this share of the answers does not exceed."""
        return 1000 * float(np.quantile(self.latencies, share)) if self.latencies else float("nan")


async def ask(url: str, requests: Iterator[Request], clients: int, seconds: float, *, patient: bool = False) -> Outcome:
    """Let some clients ask for some seconds; requests that were begun are waited for, and count.

    Args:
        patient: a client that is refused comes again when it was told to; else after 50 ms.
    """
    outcome = Outcome()
    began = time.perf_counter()
    end = began + seconds
    connector = aiohttp.TCPConnector(limit=clients)
    timeout = aiohttp.ClientTimeout(total=_LIMIT_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session:

        async def client() -> None:
            while time.perf_counter() < end:
                await _one(session, url, next(requests), outcome, patient=patient)

        await asyncio.gather(*(client() for _ in range(clients)))
    outcome.seconds = time.perf_counter() - began
    return outcome


async def _one(session: aiohttp.ClientSession, url: str, request: Request, outcome: Outcome, *, patient: bool) -> None:
    sent = time.perf_counter()
    try:
        async with session.post(
            url + request.path, data=request.body, headers={"content-type": request.content_type}
        ) as answer:
            await answer.read()
            if answer.status == 200:
                outcome.latencies.append(time.perf_counter() - sent)
                return
            outcome.others[answer.status] += 1
            if answer.status in (429, 503):
                told = answer.headers.get("retry-after")
                outcome.without_retry += told is None
                await asyncio.sleep(float(told) if patient and told else _HASTY_SECONDS)
    except (aiohttp.ClientError, TimeoutError):
        outcome.others[0] += 1
        await asyncio.sleep(_HASTY_SECONDS)


def photo_requests(path: str, photos: Sequence[bytes]) -> Iterator[Request]:
    """Uploads of JPEG files, again and again, none like another: a number stands behind the end of each picture."""
    boundary = "aura-boundary"
    head = (
        f'--{boundary}\r\ncontent-disposition: form-data; name="image"; filename="photo.jpg"\r\n'
        "content-type: image/jpeg\r\n\r\n"
    ).encode()
    number = 0
    while True:
        for photo in photos:
            number += 1
            body = head + photo + str(number).encode() + f"\r\n--{boundary}--\r\n".encode()
            yield Request(path=path, body=body, content_type=f"multipart/form-data; boundary={boundary}")
