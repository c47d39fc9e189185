"""Clients of all services while releases change, and what is wrong with the answers that they got."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from aura.releases import Release
from flows.service_smoke_test import drawn_photo

_LIMIT_SECONDS = 120.0
_CHAT_CLIENTS = 8
"""One client of so many talks to the chat, whose answers cost as much as all others together."""
_REMEMBERED_IDS = 200
_UNKNOWN = "the catalog has no item"


@dataclass(kw_only=True)
class Seen:
    """What clients saw.

    Attributes:
        answered: number of answers by path.
        failed: requests that were not answered with 200, by path and status (0: no answer).
        unknown: answers that did not know an id that another answer had named.
        told: number of answers by what they said of their release: header, id, versions.
        slowest: seconds of the slowest answer by path.
    """

    answered: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    told: Counter[tuple[str, str, tuple[tuple[str, str], ...]]] = field(default_factory=Counter)
    slowest: dict[str, float] = field(default_factory=dict)

    def mixed(self, releases: Mapping[str, Release]) -> int:
        """Answers whose header, id and versions are not those of one release."""
        return sum(count for told, count in self.told.items() if not _of_one_release(*told, releases=releases))


def _of_one_release(
    header: str, number: str, versions: tuple[tuple[str, str], ...], *, releases: Mapping[str, Release]
) -> bool:
    release = releases.get(number)
    if release is None:
        return False
    named = {**release.models, "index": str(release.index.number) if release.index else None}
    said = ";".join([number, *(f"{name}={version}" for name, version in versions)])
    return header == said and all(named.get(name) == version for name, version in versions)


class Clients:
    """Closed-loop clients: each sends its next request when its last one is answered."""

    def __init__(self, urls: Mapping[str, str], count: int) -> None:
        self._urls = urls
        self._count = count
        self._photo = drawn_photo()
        self._ids: list[str] = []
        self._asked = itertools.count()
        """No two requests are the same: an answer that is kept would not be made anew."""
        self.seen = Seen()

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until `stop` is set; requests that were begun are waited for."""
        timeout = aiohttp.ClientTimeout(total=_LIMIT_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector, trust_env=False) as session:
            await asyncio.gather(*(self._client(session, number, stop) for number in range(self._count)))

    async def _client(self, session: aiohttp.ClientSession, number: int, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if number % _CHAT_CLIENTS == 0:
                await self._talk(session)
            else:
                await self._shop(session)

    async def _shop(self, session: aiohttp.ClientSession) -> None:
        """Find what a photo shows, then judge and complete outfits with what was found."""
        form = aiohttp.FormData()
        form.add_field("image", self._photo, filename="photo.jpg", content_type="image/jpeg")
        number = next(self._asked)
        threshold = 0.05 + number % 10_000 / 1e6
        analysis = await self._post(
            session, "visual_analysis", f"analyze?threshold={threshold:.6f}&similar=2", data=form
        )
        self._ids += [item["item_id"] for garment in analysis.get("garments", []) for item in garment["similar"]]
        del self._ids[:-_REMEMBERED_IDS]
        for item_id in self._ids[:1] + self._ids[-1:]:  # one from a while ago, and a new one
            await self._post(session, "outfit_recommendation", "evaluate", json={"items": [{"item_id": item_id}]})
        outfit = [{"category": "tops", "title": f"Shirt {number}"}, {"category": "bottoms", "title": "Beige chinos"}]
        wanted = {"items": outfit, "targets": ["shoes", "bags"], "k": 2}
        found = await self._post(session, "outfit_recommendation", "recommend", json=wanted)
        self._ids += [item["item_id"] for items in found.get("targets", {}).values() for item in items]

    async def _talk(self, session: aiohttp.ClientSession) -> None:
        question = f"Which shoes go with navy suit number {next(self._asked)}?"
        await self._post(session, "conversational_ai", "rag/query", json={"query": question, "k": 3})
        chat = {"messages": [{"role": "user", "content": question}], "max_new_tokens": 16}
        await self._post(session, "conversational_ai", "chat", json=chat)

    async def _post(self, session: aiohttp.ClientSession, service: str, path: str, **body: Any) -> dict[str, Any]:
        name = path.partition("?")[0]
        began = time.perf_counter()
        try:
            async with session.post(f"{self._urls[service]}/{path}", **body) as response:
                answer: dict[str, Any] = await response.json()
                header = response.headers.get("x-aura-release", "")
        except (aiohttp.ClientError, TimeoutError, ValueError):
            self.seen.failed[f"{name} 0"] += 1
            await asyncio.sleep(0.2)
            return {}
        self.seen.slowest[name] = max(self.seen.slowest.get(name, 0.0), time.perf_counter() - began)
        if response.status != 200:
            if _UNKNOWN in answer.get("error", {}).get("message", ""):
                self.seen.unknown += 1
            else:
                self.seen.failed[f"{name} {response.status}"] += 1
                await asyncio.sleep(0.2)
            return {}
        self.seen.answered[name] += 1
        versions = tuple(sorted(answer["release"]["versions"].items()))
        self.seen.told[header, answer["release"]["id"], versions] += 1
        return answer
