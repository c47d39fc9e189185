"""The health of all parts in one answer, for `GET /health` at the gateway: nginx itself can pass on one answer, not join several.

    python -m flows.gateway.platform_health FILE

`FILE` is a `HealthPlan` as JSON. The states are those of a service (`bentos/serving/health.py`): `ready`, all parts are;
`degraded`, the services answer, and `reasons` says what they lack; with status 503 `down`, a service has no replica that answers.
Prometheus asks the same process for `/metrics` (`flows/gateway/platform_metrics.py`); nginx passes that to nobody.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import aiohttp
from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from aura.supervision import die_with_parent
from flows.gateway.platform_metrics import PlatformCollector
from stores.address import DATABASE_URL

_SECONDS = 3.0
"""A service answers within two."""

State = Literal["ready", "degraded", "down"]


class Part(BaseModel):
    """Something that answers a GET with 2xx when it can work.

    Attributes:
        group: parts of one group stand in for each other: replicas of a service.
        is_service: whether callers get no answer without its group.
    """

    name: str
    group: str
    url: str
    is_service: bool


class HealthPlan(BaseModel):
    """Where the platform's health is told, and what it is made of.

    Attributes:
        home: home folder, whose disk is watched.
        textfiles: folder with the metrics of nights.
        certificate: PEM file of the gateway.
    """

    host: str
    port: int
    parts: list[Part]
    home: Path
    textfiles: Path
    certificate: Path


class PartHealth(BaseModel):
    """What a part answered."""

    state: State
    reasons: list[str] = []


class PlatformHealth(BaseModel):
    """Body of the answer."""

    state: State
    reasons: list[str]
    parts: dict[str, PartHealth]


_PLAN, _SESSION = web.AppKey("plan", HealthPlan), web.AppKey("session", aiohttp.ClientSession)


def joined(plan: HealthPlan, found: dict[str, PartHealth]) -> PlatformHealth:
    """The state of the platform from those of its parts."""
    reasons = [f"{name}: {reason}" for name, health in found.items() for reason in health.reasons]
    groups: dict[str, list[Part]] = {}
    for part in plan.parts:
        groups.setdefault(part.group, []).append(part)
    without = [
        group
        for group, parts in groups.items()
        if parts[0].is_service and all(found[part.name].state == "down" for part in parts)
    ]
    state: State = (
        "down" if without else "ready" if all(each.state == "ready" for each in found.values()) else "degraded"
    )
    return PlatformHealth(state=state, reasons=reasons, parts=found)


async def look_at(session: aiohttp.ClientSession, part: Part) -> PartHealth:
    """The health of one part; never raises."""
    try:
        async with session.get(part.url) as answer:
            if not part.is_service or answer.content_type != "application/json":
                return (
                    PartHealth(state="ready")
                    if answer.ok
                    else PartHealth(state="down", reasons=[f"answers {answer.status}"])
                )
            body = await answer.json()
            state: State = "down" if not answer.ok else "degraded" if body.get("reasons") else "ready"
            return PartHealth(state=state, reasons=[str(reason) for reason in body.get("reasons", [])])
    except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError):
        return PartHealth(state="down", reasons=["does not answer"])


async def _look_at_all(app: web.Application) -> dict[str, PartHealth]:
    plan, session = app[_PLAN], app[_SESSION]
    found = await asyncio.gather(*(look_at(session, part) for part in plan.parts))
    return {part.name: each for part, each in zip(plan.parts, found, strict=True)}


async def _health(request: web.Request) -> web.Response:
    health = joined(request.app[_PLAN], await _look_at_all(request.app))
    return web.Response(
        text=health.model_dump_json(indent=2), status=503 if health.state == "down" else 200,
        content_type="application/json", headers={"cache-control": "no-store"},
    )  # fmt: skip


async def _metrics(request: web.Request) -> web.Response:
    plan, health = request.app[_PLAN], await _look_at_all(request.app)
    collector = PlatformCollector(
        home=plan.home, textfiles=plan.textfiles, certificate=plan.certificate,
        database_url=os.environ.get(DATABASE_URL, ""),
        parts={(part.name, part.group, part.is_service): health[part.name].state != "down" for part in plan.parts},
    )  # fmt: skip
    text = await asyncio.to_thread(generate_latest, collector)
    return web.Response(body=text, headers={"content-type": CONTENT_TYPE_LATEST})


def make_app(plan: HealthPlan) -> web.Application:
    """Application that answers `/health` and `/metrics`."""
    app = web.Application()
    app[_PLAN] = plan

    async def session(app: web.Application) -> AsyncIterator[None]:
        # A connection for each question: one that is kept may have been closed by a part that was started again.
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(
            connector=connector, timeout=aiohttp.ClientTimeout(total=_SECONDS), trust_env=False
        ) as opened:
            app[_SESSION] = opened
            yield

    app.cleanup_ctx.append(session)
    app.router.add_get("/health", _health)
    app.router.add_get("/metrics", _metrics)
    return app


def main() -> None:
    die_with_parent()
    plan = HealthPlan.model_validate_json(Path(sys.argv[1]).read_text(encoding="utf-8"))
    web.run_app(make_app(plan), host=plan.host, port=plan.port, access_log=None, print=None)


if __name__ == "__main__":
    main()
