"""How much do the services answer, and how fast? Beside a plain FastAPI server, and beside the code of an earlier commit.

    python -m benchmarks.serving [--profile sample] [--seconds 10] [--rounds 3] [--only photos] [--page FILE]
    python -m benchmarks.serving --only overload --seconds 60

Needs the champions and the index of a night. The servers of a group run side by side and are asked in turn, round by round, so
that what else the machine does meets all of them. What was measured is kept in the work folder: the page shows all groups.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from PIL import Image

from aura.artifact import read_json, write_json, write_text
from aura.errors import IndexNotReadyError
from aura.paths import profile_paths, repo_root
from aura.settings import read_profile, validate
from aura.taxonomy import Category
from aura.tracking import TrackingSettings
from benchmarks.load import Outcome, Request, ask, photo_requests
from benchmarks.machine import machine
from benchmarks.served import Server, code_of, plain_server, service
from bentos.serving.assets import RegistryAssets
from bentos.serving.settings import ServingSettings

BEFORE = "b46bde0"
"""The commit before the services were made to bear load."""
PHONE_PX = (3000, 4000)
_SEED = 7
_PHOTOS = 200
_OUTFITS = 300
_OVERLOAD = 4
"""Times as many clients as the service is measured with."""
_NORMAL_CLIENTS = 16
_NORMAL_SECONDS = 10.0
"""For which the service is measured before and after an overload."""
_RECOVERY_SECONDS = 5.0
_MEMORY_GROWS, _TAKES_LONGER, _NORMAL_AGAIN = 1.1, 2.0, 0.9
"""What an overload may do: to memory and to the time of an answer, at most; to answers per second afterwards, at least."""
_LABELS = ("plain", "before", "now")
"""Of servers, as the page lists them."""
GROUPS = ("photos", "outfits", "knowledge", "overload")


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What some clients ask.

    Attributes:
        servers: labels of those that are asked, of `_LABELS`.
    """

    name: str
    clients: int
    servers: tuple[str, ...]
    requests: Iterator[Request]


@dataclass(frozen=True, kw_only=True)
class Timing:
    seconds: float
    rounds: int


def measure(scenario: Scenario, servers: Mapping[str, Server], timing: Timing) -> dict[str, Any]:
    """The figures of a scenario, by server."""
    outcomes = {name: Outcome() for name in scenario.servers}
    for name in scenario.servers:  # models run slower the first times
        asyncio.run(ask(servers[name].url, scenario.requests, scenario.clients, min(3.0, timing.seconds)))
    for _ in range(timing.rounds):
        for name in scenario.servers:
            outcomes[name] += _asked(servers[name], scenario, timing.seconds)
    found = {name: _figures(outcome) | {"peak_mb": servers[name].peak_mb()} for name, outcome in outcomes.items()}
    print(scenario.name, scenario.clients, json.dumps(found))
    return {"name": scenario.name, "clients": scenario.clients, "servers": found}


def _asked(server: Server, scenario: Scenario, seconds: float) -> Outcome:
    began = server.cpu_seconds()
    outcome = asyncio.run(ask(server.url, scenario.requests, scenario.clients, seconds))
    outcome.cpu_seconds = server.cpu_seconds() - began
    return outcome


def measure_overload(server: Server, requests: Iterator[Request], seconds: float) -> dict[str, Any]:
    """The service before, during and after some seconds of four times as many clients as it is measured with."""

    def asked(clients: int, seconds: float, *, patient: bool = True) -> Outcome:
        return asyncio.run(ask(server.url, requests, clients, seconds, patient=patient))

    asked(_NORMAL_CLIENTS, 3.0)  # models run slower the first times
    before, memory, processes = asked(_NORMAL_CLIENTS, _NORMAL_SECONDS), server.memory_mb(), server.process_ids()
    during, memory_after = asked(_OVERLOAD * _NORMAL_CLIENTS, seconds), server.memory_mb()
    asked(1, _RECOVERY_SECONDS)
    after = asked(_NORMAL_CLIENTS, _NORMAL_SECONDS)
    hasty = asked(_OVERLOAD * _NORMAL_CLIENTS, _NORMAL_SECONDS, patient=False)
    found = {
        "before": _figures(before), "during": _figures(during), "after": _figures(after), "hasty": _figures(hasty),
        "seconds": during.seconds,
        "refused": sum(count for status, count in during.others.items() if status in (429, 503)),
        "other": sum(count for status, count in during.others.items() if status not in (429, 503)),
        "without_retry": during.without_retry, "memory_mb": [memory, memory_after],
        "ended": len(processes - server.process_ids()),
    }  # fmt: skip
    print("overload", json.dumps(found))
    return found


def overload_rules(found: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """What must hold in an overload, what was measured, and whether it holds."""
    before, during, after = (found[name] for name in ("before", "during", "after"))
    memory, memory_after = found["memory_mb"]
    rules = [
        ("no process ends", f"{found['ended']} ended", found["ended"] == 0),
        (
            f"memory grows to {_MEMORY_GROWS:.0%} at most", f"{memory:.0f} MB, then {memory_after:.0f} MB",
            memory_after <= _MEMORY_GROWS * memory,
        ),
        (
            "every other request is refused with 429 or 503 and Retry-After",
            f"{found['refused']} refused, {found['without_retry']} of them without; {found['other']} ended otherwise",
            not found["without_retry"] and not found["other"],
        ),
    ]  # fmt: skip
    for name in ("p50", "p99"):
        usual, then = before[f"{name}_ms"], during[f"{name}_ms"]
        rules.append(
            (
                f"the {name} of an answer is at most {_TAKES_LONGER:.0f} times as long",
                f"{usual:.0f} ms, then {then:.0f} ms", then <= _TAKES_LONGER * usual,
            )
        )  # fmt: skip
    rules.append(
        (
            f"{_RECOVERY_SECONDS:.0f} s later it answers at least {_NORMAL_AGAIN:.0%} of what it answered before",
            f"{before['per_second']:.0f}/s, then {after['per_second']:.0f}/s (p99 {after['p99_ms']:.0f} ms)",
            after["per_second"] >= _NORMAL_AGAIN * before["per_second"],
        )
    )
    return rules


def _figures(outcome: Outcome) -> dict[str, Any]:
    return {
        "per_second": outcome.per_second, "p50_ms": outcome.quantile_ms(0.5), "p99_ms": outcome.quantile_ms(0.99),
        "failed": sum(outcome.others.values()), "cpu_ms": 1000 * outcome.cpu_seconds / max(1, len(outcome.latencies)),
    }  # fmt: skip


def earlier_code(work: Path) -> Path:
    """The services at `BEFORE`, which skip the keys that today's models have more: they change answers, and not the work."""
    code = code_of(BEFORE, work)
    settings = code / "aura" / "settings.py"
    source = settings.read_text(encoding="utf-8")
    settings.write_text(source.replace('extra="forbid"', 'extra="ignore"'), encoding="utf-8")
    return code


def photos_group(assets: RegistryAssets, work: Path, timing: Timing, before: Path) -> dict[str, Any]:
    """One server at a time would meet another machine; all three are up, and two of them idle."""
    photos = night_photos(assets.profile)
    phone = [_enlarged(photo) for photo in photos[:12]]
    with ExitStack() as stack:
        detector = stack.enter_context(assets.champion("detection", assets.release()))
        servers = _up(
            stack.enter_context(plain_server(detector.folder, work)),
            stack.enter_context(service("visual_analysis", "before", assets.profile, work, before)),
            stack.enter_context(service("visual_analysis", "now", assets.profile, work)),
        )
        scenarios = [
            Scenario(name=name, clients=clients, servers=_LABELS, requests=photo_requests("/analyze", chosen))
            for name, chosen in (("analyze", photos), ("analyze, 12-megapixel photos", phone))
            for clients in (_NORMAL_CLIENTS, 1)
        ]
        measured = [measure(scenario, servers, timing) for scenario in scenarios]
    return {"measured": measured}


def overload_group(assets: RegistryAssets, work: Path, timing: Timing) -> dict[str, Any]:
    """The photos' service alone, overloaded for the seconds of a round."""
    with service("visual_analysis", "now", assets.profile, work) as server:
        requests = photo_requests("/analyze", night_photos(assets.profile))
        return {"measured": [], "overload": measure_overload(server, requests, timing.seconds)}


def outfits_group(assets: RegistryAssets, work: Path, timing: Timing, before: Path) -> dict[str, Any]:
    index = assets.index(assets.release())
    if index is None:
        raise IndexNotReadyError("outfits are asked about with items of the index, and none is served")
    items = [row.item_id for row in index.catalog().rows]
    outfits = night_outfits(items, night_photos(assets.profile))
    with ExitStack() as stack:
        servers = _up(
            stack.enter_context(service("outfit_recommendation", "before", assets.profile, work, before)),
            stack.enter_context(service("outfit_recommendation", "now", assets.profile, work)),
        )
        scenarios = [
            Scenario(name=path[1:], clients=clients, servers=("before", "now"), requests=_json_requests(path, outfits))
            for path in ("/evaluate", "/recommend")
            for clients in (_NORMAL_CLIENTS, 1)
        ]
        return {"measured": [measure(scenario, servers, timing) for scenario in scenarios]}


def knowledge_group(assets: RegistryAssets, work: Path, timing: Timing, before: Path) -> dict[str, Any]:
    asked = [{"query": question} for question in labelled_questions()]
    with ExitStack() as stack:
        servers = _up(
            stack.enter_context(service("conversational_ai", "before", assets.profile, work, before)),
            stack.enter_context(service("conversational_ai", "now", assets.profile, work)),
        )
        scenario = Scenario(
            name="rag/query", clients=_NORMAL_CLIENTS, servers=("before", "now"),
            requests=_json_requests("/rag/query", asked),
        )  # fmt: skip
        return {"measured": [measure(scenario, servers, timing)]}


def night_photos(profile: str) -> list[bytes]:
    """Test photos of a night's detector, in an order of their own."""
    data = profile_paths(profile).workspace / "data" / "detection"
    table: dict[str, Any] = read_json(data / "test.json", "the test photos")
    names = sorted(image["file_name"] for image in table["images"])
    chosen = random.Random(_SEED).sample(names, min(_PHOTOS, len(names)))
    return [(data / "images" / name).read_bytes() for name in chosen]


def night_outfits(item_ids: Sequence[str], photos: Sequence[bytes]) -> list[dict[str, Any]]:
    """Outfits of two garments of the catalog, one that is described, and one whose picture is sent."""
    rng = random.Random(_SEED)
    colours, kinds = (
        ("Navy", "White", "Olive", "Black", "Beige", "Rust"),
        ("cotton shirt", "knit", "overshirt", "blouse"),
    )
    return [
        {
            "items": [
                *({"item_id": item_id} for item_id in rng.sample(item_ids, 2)),
                {"category": Category.TOPS, "title": f"{rng.choice(colours)} {rng.choice(kinds)}"},
                {"category": Category.BAGS, "image_base64": base64.b64encode(rng.choice(photos)).decode()},
            ]
        }
        for _ in range(_OUTFITS)
    ]


def labelled_questions() -> list[str]:
    """The last question of each labelled conversation."""
    file = repo_root() / "data" / "knowledge" / "questions" / "test.jsonl"
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line)["messages"][-1]["content"] for line in lines]


def _enlarged(photo: bytes) -> bytes:
    with Image.open(io.BytesIO(photo)) as picture:
        large = picture.convert("RGB").resize(PHONE_PX)
    written = io.BytesIO()
    large.save(written, "JPEG", quality=85)
    return written.getvalue()


def _json_requests(path: str, bodies: Sequence[Mapping[str, Any]]) -> Iterator[Request]:
    return cycle(
        [Request(path=path, body=json.dumps(body).encode(), content_type="application/json") for body in bodies]
    )


def _up(*servers: Server) -> dict[str, Server]:
    return {server.name: server for server in servers}


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page, from the figures of the groups that were measured."""
    measured = [row for group in GROUPS if group in results for row in results[group]["measured"]]
    rows = [
        f"| {scenario['name']} | {scenario['clients']} | {name} | {figures['per_second']:.1f} | {figures['p50_ms']:.0f} "
        f"| {figures['p99_ms']:.0f} | {figures['cpu_ms']:.1f} | {_ratios(scenario['servers'], name)} "
        f"| {figures['failed']} | {figures['peak_mb']:.0f} |"
        for scenario in measured
        for name in _LABELS
        if (figures := scenario["servers"].get(name))
    ]
    about = sorted({f"{result['machine']}; {result['rounds']}" for result in results.values()})
    missing = [group for group in GROUPS if group not in results]
    return "\n".join(
        [
            "# The services under load, measured",
            "",
            f"Written by `make bench-serving` on {' and '.join(about)}. The clients run on the same cores. *plain*: the same "
            f"weights behind FastAPI (`benchmarks/plain_server.py`); *before*: these services at commit `{BEFORE}`, which skip "
            "the keys that today's models have more. Servers of one row run side by side and are asked in turn. An outfit is two "
            "garments of the catalog, one title and one picture; pictures come again, as garments of a wardrobe do, so that what "
            "a service keeps of the last ones counts. Peak memory is the largest that each process had, added up.",
            "",
            "| asked | clients | server | answers/s | p50 ms | p99 ms | CPU ms/answer | now is | failed | peak MB |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
            *rows,
            "",
            *(_overload_text(results["overload"]["overload"]) if "overload" in results else []),
            *([f"Not measured: {', '.join(missing)}.", ""] if missing else []),
        ]
    )


def _ratios(servers: Mapping[str, Mapping[str, Any]], name: str) -> str:
    if name != "now":
        return ""
    now = servers[name]["per_second"]
    others = [label for label in _LABELS if label in servers and label != name]
    return ", ".join(f"{now / servers[label]['per_second']:.2f} x {label}" for label in others)


def _overload_text(found: Mapping[str, Any]) -> list[str]:
    before, during, hasty = found["before"], found["during"], found["hasty"]
    return [
        "## Overload",
        "",
        f"`analyze` with {_OVERLOAD * _NORMAL_CLIENTS} clients, {_OVERLOAD} times as many as above, for "
        f"{found['seconds']:.0f} s; a client that is refused comes again when `Retry-After` says: "
        f"{during['per_second']:.0f} answers/s (before: {before['per_second']:.0f}/s). Where none heeds it and all come again "
        f"after 50 ms: {hasty['per_second']:.0f} answers/s, p50 {hasty['p50_ms']:.0f} ms, p99 {hasty['p99_ms']:.0f} ms.",
        "",
        "| what must hold | measured | holds |",
        "| --- | --- | --- |",
        *(f"| {rule} | {measured} | {'yes' if holds else 'no'} |" for rule, measured, holds in overload_rules(found)),
        "",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", default="sample")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds per round and server")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=repo_root() / "var" / "bench-serving")
    parser.add_argument("--page", type=Path, default=repo_root() / "docs" / "benchmarks" / "serving.md")
    parser.add_argument(
        "--only", choices=GROUPS, help="measure one group; the page shows what was measured before as well"
    )
    options = parser.parse_args()
    values = read_profile(options.profile)
    assets = RegistryAssets(
        options.profile, validate(ServingSettings, values.get("serving"), "serving"),
        validate(TrackingSettings, values.get("tracking"), "tracking"),
    )  # fmt: skip
    work = options.work.absolute()
    timing = Timing(seconds=options.seconds, rounds=options.rounds)
    kept = work / "result.json"
    results: dict[str, Any] = read_json(kept, "earlier figures") if kept.is_file() else {}
    compared = {"photos": photos_group, "outfits": outfits_group, "knowledge": knowledge_group}
    for name in GROUPS:
        if options.only in (None, name):
            if name in compared:
                found = compared[name](assets, work, timing, earlier_code(work))
                about = {"machine": machine(), "rounds": f"{timing.rounds} rounds of {timing.seconds:g} s"}
            else:
                found = overload_group(assets, work, timing)
                about = {"machine": machine(), "rounds": f"an overload of {timing.seconds:g} s"}
            results[name] = found | about
            write_json(kept, results)
    write_text(options.page, page(results))


if __name__ == "__main__":
    main()
