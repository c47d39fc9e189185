"""What a runner does between two releases, part by part: processor seconds from a new version's files to one that may serve.

    python -m benchmarks.loading [--home FOLDER] [--work FOLDER] [--page docs/benchmarks/loading.md]

Everything lies in one process that has served before, as in a runner; the champions are those of a home that a night has trained.
The vectors of the catalog are computed once and then taken from their file, which is what services find after a night.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from aura.artifact import content_hash, write_text
from aura.paths import cache_dir, home, profile_paths, repo_root
from aura.registry import CHAMPION, Registry
from benchmarks.switch_home import copy_home
from flows.profile import load_profile
from inference.chat.model import ChatModel
from inference.chat.smoke_test import SMOKE_TEST as CHAT_TEST
from inference.detection.detector import Detector
from inference.detection.smoke_test import SMOKE_TEST as DETECTION_TEST
from inference.outfits.catalog_search import CatalogSearch
from inference.outfits.model import OutfitModel
from inference.outfits.smoke_test import SMOKE_TEST as OUTFIT_TEST
from inference.retrieval.released_catalog import released_catalog
from inference.retrieval.releases import served_index
from inference.smoke_test import check_loaded

PROFILE = "sample"
Result = TypeVar("Result")


class Clock:
    """Rows of what was done, with its processor and wall seconds."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, float, float]] = []

    def __call__(self, what: str, work: Callable[[], Result]) -> Result:
        cpu, wall = time.process_time(), time.monotonic()
        result = work()
        self.rows.append((what, time.process_time() - cpu, time.monotonic() - wall))
        return result


def measure(champions: dict[str, Path], index: Path) -> list[tuple[str, float, float]]:
    """Load each champion as the next version beside one that serves."""
    clock = Clock()
    _outfits(clock, champions["outfits"], index)
    _chat(clock, champions["chat"])
    Detector.load(champions["detection"])
    detector = clock("detector: load", lambda: Detector.load(champions["detection"]))
    clock("detector: smoke test", lambda: check_loaded(DETECTION_TEST, detector, champions["detection"]))
    return clock.rows


def _outfits(clock: Clock, folder: Path, index: Path) -> None:
    served = served_index(index)
    assert served is not None, "a night has built the index"
    OutfitModel.load(folder)  # libraries are imported and files are in the page cache, as in a runner that serves
    model = clock("outfits: load the model", lambda: OutfitModel.load(folder))
    clock("outfits: smoke test", lambda: check_loaded(OUTFIT_TEST, model, folder))
    model_hash = clock("outfits: hash of the artifact", lambda: content_hash(folder))
    catalog = clock("outfits: read the catalog", lambda: released_catalog(index, served))
    shutil.rmtree(cache_dir() / "catalog-vectors", ignore_errors=True)
    items = f"{len(catalog.rows)} items"
    clock(f"outfits: vectors of {items}, computed", lambda: CatalogSearch(catalog, model, model_hash))
    clock(f"outfits: vectors of {items}, from the file", lambda: CatalogSearch(catalog, model, model_hash))


def _chat(clock: Clock, folder: Path) -> None:
    serving = ChatModel.load(folder)
    model = clock("chat: fold the adapter", lambda: ChatModel.load(folder, beside=serving))
    clock("chat: smoke test", lambda: check_loaded(CHAT_TEST, model, folder))


def page(rows: Sequence[tuple[str, float, float]]) -> str:
    """The page of a measurement, in Markdown."""
    machine = (
        f"{os.cpu_count()} cores, {platform.machine()}, no GPU; threads: {os.environ.get('OMP_NUM_THREADS', 'all')}"
    )
    lines = [
        "# Loading the next release", "",
        f"Written by `make bench-loading` ({machine}; the champions of the {PROFILE} profile). In one process that has "
        "served before. Wall seconds are those of a machine that does other work as well.",
        "", "| part | CPU s | wall s |", "|---|---|---|",
    ]  # fmt: skip
    return "\n".join([*lines, *(f"| {what} | {cpu:.2f} | {wall:.2f} |" for what, cpu, wall in rows), ""])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.loading", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, default=None, help="home with champions; default: AURA_HOME")
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--page", type=Path, default=repo_root() / "docs" / "benchmarks" / "loading.md")
    options = parser.parse_args(arguments)
    work = (options.work or home() / "benchmarks" / "loading").resolve()
    copy_home(options.home or home(), work / "home", PROFILE)
    os.environ["AURA_HOME"] = str(work / "home")
    registry = Registry(load_profile(PROFILE).tracking, PROFILE)
    champions = {}
    for model in ("detection", "outfits", "chat"):
        champion = registry.at(model, CHAMPION)
        if champion is None:
            parser.error(f"{PROFILE} has no champion of {model}: run `aura nightly` first")
        champions[model] = registry.download(champion, work / "champions" / model)
    write_text(options.page, page(measure(champions, profile_paths(PROFILE).index)))
    print(options.page.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
