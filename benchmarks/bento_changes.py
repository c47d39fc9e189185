"""The night's Bentos change under load: does a request fail, and is every conversation told to come again?

    python -m benchmarks.bento_changes [--home FOLDER] [--work FOLDER] [--changes 5] [--clients 16] [--sockets 8]
                                       [--port 18100] [--page docs/benchmarks/bento_changes.md]

Bentos are packed of two sets of models, and what `aura serve --bentos` runs changes from one to the other: new servers start
beside the old ones, on the same cores, which takes minutes for each change.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from aura.artifact import write_json, write_text
from aura.paths import home, profile_paths, repo_root
from aura.releases import Release, Releases
from benchmarks.switch_home import FOLLOWING, SwitchHome, copy_home, promote, set_up
from benchmarks.switch_load import Clients, Seen
from flows.blue_green import BlueGreen
from flows.front_door import TRY_AGAIN
from flows.package import RELEASE, bento_environment, pack
from flows.profile import Profile, load_profile

PROFILE = "sample"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured.

    Attributes:
        seconds: of each change, from the packing's record until the old servers have ended.
        told: conversations that were closed with the code that says to come again.
        dropped: conversations that ended otherwise.
    """

    seconds: list[float]
    seen: Seen
    releases: dict[str, Release]
    told: int
    dropped: int
    clients: int


def packed(prepared: SwitchHome, settings: Profile, work: Path, place: int) -> dict[str, str]:
    """Bentos of one of the two good versions of each model; returns service to tag."""
    folder = work / f"champions-{place}"
    for model, versions in prepared.versions.items():
        release = promote(prepared, model, versions[place], f"{model} for the Bentos")
    manifest = {}
    for model, number in release.models.items():
        version = prepared.registry.version(model, number)
        prepared.registry.fetch(version, folder / model)
        manifest[model] = {"version": number}
    write_json(folder / "champions.json", manifest)
    write_json(folder / RELEASE, release.as_dict())
    params = work / "params.yaml"
    write_text(params, yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=True, allow_unicode=True))
    return {name: pack(service, params, folder, prepared.index) for name, service in FOLLOWING.items()}


async def measure(
    prepared: SwitchHome,
    settings: Profile,
    sets: Sequence[dict[str, str]],
    work: Path,
    changes: int,
    clients: int,
    sockets: int,
) -> Result:
    """Change between two sets of Bentos while clients ask and conversations are open."""
    record = work / "package.json"
    services = BlueGreen(settings.serving, record, profile_paths(PROFILE).logs, print)
    _note(record, sets[0])
    await asyncio.to_thread(services.start)
    asking, enough = (
        Clients({name: service.url(settings.serving) for name, service in FOLLOWING.items()}, clients),
        asyncio.Event(),
    )
    load = asyncio.ensure_future(asking.run(enough))
    talk = FOLLOWING["conversational_ai"].url(settings.serving).replace("http", "ws", 1) + "/ws/chat"
    seconds, codes = [], []
    try:
        for change in range(changes):
            talks = [await connect(talk, proxy=None, open_timeout=60) for _ in range(sockets)]
            began = time.monotonic()
            _note(record, sets[(change + 1) % 2])
            await asyncio.to_thread(services.look)
            seconds.append(time.monotonic() - began)
            codes += [await _ended(each) for each in talks]
        enough.set()
        await load
    finally:
        await asyncio.to_thread(services.stop)
    known = {str(release.number): release for release in Releases(prepared.registry).all()}
    told = codes.count(TRY_AGAIN)
    return Result(
        seconds=seconds, seen=asking.seen, releases=known, told=told, dropped=len(codes) - told, clients=clients
    )


async def _ended(talk: object) -> int:
    """Close code of a conversation; 0 where it is still open after a while."""
    try:
        async with asyncio.timeout(30):
            await talk.recv()  # type: ignore[attr-defined]
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else 0
    except TimeoutError:
        return 0
    return 0


def _note(record: Path, tags: dict[str, str]) -> None:
    """What the package stage records."""
    write_json(record, {"bentos": {name: {"tag": tag} for name, tag in tags.items()}})


def page(result: Result) -> str:
    """The page of a measurement, in Markdown."""
    seen = result.seen
    wrong = [
        ("failed requests", sum(seen.failed.values())), ("answers of mixed releases", seen.mixed(result.releases)),
        ("conversations that were not told to come again", result.dropped),
    ]  # fmt: skip
    return "\n".join(
        [
            "# Bentos that change under load", "",
            f"Written by `make bench-bentos`: {len(result.seconds)} changes of all Bentos while {result.clients} clients ask all "
            f"services, on {os.cpu_count()} cores that clients, old and new servers share (CPU, no network). A change took "
            f"{np.median(result.seconds):.0f} s (median; {max(result.seconds):.0f} s at most), nearly all of it the start of the "
            f"new servers beside the old ones. {result.told} conversations were closed with the code 1012: come again.", "",
            f"Of {sum(seen.answered.values())} answers:", "",
            "| what went wrong | times |", "| --- | --- |", *(f"| {what} | {count} |" for what, count in wrong), "",
            *([f"Failed: {dict(seen.failed)}", ""] if seen.failed else []),
            "| endpoint | answers | slowest s |", "| --- | --- | --- |",
            *(f"| {name} | {count} | {seen.slowest[name]:.1f} |" for name, count in sorted(seen.answered.items())), "",
        ]
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.bento_changes", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, default=None, help="home with champions; default: AURA_HOME")
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--changes", type=int, default=5)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--sockets", type=int, default=8)
    parser.add_argument("--port", type=int, default=18100, help="of the first service; the others follow")
    parser.add_argument("--page", type=Path, default=repo_root() / "docs" / "benchmarks" / "bento_changes.md")
    options = parser.parse_args(arguments)
    source = options.home or home()
    work = (options.work or home() / "benchmarks" / "bento-changes").resolve()
    copy_home(source, work / "home", PROFILE)
    os.environ["AURA_HOME"] = str(work / "home")
    os.environ |= bento_environment()  # BentoML packs into the home that it finds when it is first imported
    ports = [f"serving.ports.{name}={options.port + place}" for place, name in enumerate(FOLLOWING)]
    settings = load_profile(PROFILE, [*ports, "serving.start_timeout_seconds=600"])
    prepared = set_up(settings, profile_paths(PROFILE).index)
    sets = [packed(prepared, settings, work, place) for place in range(2)]
    result = asyncio.run(measure(prepared, settings, sets, work, options.changes, options.clients, options.sockets))
    write_text(options.page, page(result))
    print(options.page.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
