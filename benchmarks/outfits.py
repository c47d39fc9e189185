"""Does the outfit model see? Trained and asked about test outfits with titles and without, beside what only counts.

    python -m benchmarks.outfits [--work FOLDER] [--page docs/benchmarks/outfits.md] [--only sample]

The sample is drawn into the work folder; street photos are measured where `aura data import ccp` has brought them in. All test
outfits are asked about: nothing is chosen here.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aura.artifact import read_json, write_json, write_text
from aura.paths import home, repo_root
from aura.settings import read_profile, validate
from aura.tracking import LocalTracker
from benchmarks.outfit_figures import figures
from dataprep.prepare import prepare
from dataprep.settings import DataSettings
from training.context import TrainContext
from training.outfits.settings import OutfitsSettings
from training.outfits.train import train

SEED = 7
PROFILES = {"sample": "Drawn outfits (profile `sample`)", "ccp": "Street photos (profile `ccp`, Clothing Co-Parsing)"}
_MISSING = {
    "sample": "this page was made of street photos alone",
    "ccp": "the photos were not imported (`aura data import ccp PATH`)",
}
_RESULT = "result.json"


def measure(profile: str, work: Path, data: Path) -> dict[str, Any]:
    """Train with a profile's settings and measure; what was measured is kept in the work folder."""
    kept = work / profile / _RESULT
    if kept.is_file():
        found: dict[str, Any] = read_json(kept, "the figures of an earlier run")
        return found
    settings = validate(OutfitsSettings, read_profile(profile).get("outfits") or {}, "outfits")
    folder = work / profile / "training"
    shutil.rmtree(folder, ignore_errors=True)
    context = TrainContext(
        data_dir=data, out_dir=folder / "artifact", checkpoint_dir=folder / "checkpoints", plots_dir=folder / "plots",
        base_dir=None, tracker=LocalTracker(folder / "checkpoints"), seed=SEED,
    )  # fmt: skip
    for needed in (context.out_dir, context.checkpoint_dir, context.plots_dir):
        needed.mkdir(parents=True)
    began, cpu = time.monotonic(), time.process_time()
    train(settings, context)
    trained, trained_cpu = time.monotonic() - began, time.process_time() - cpu
    result = figures(context.out_dir, data, SEED)
    result |= {"train_seconds": trained, "train_cpu_seconds": trained_cpu}
    write_json(kept, result)
    return result


def prepared(profile: str, work: Path) -> Path | None:
    """Prepared data of a profile; None where its photos were not imported."""
    data = work / profile / "data"
    if data.is_dir():
        return data
    values = dict(read_profile(profile).get("data") or {})
    raw = work / "raw"
    if profile == "sample":
        # Scenes train the detector alone.
        values["sample"] = {**(values.get("sample") or {}), "scenes": 10}
    else:
        raw = home() / "raw"
        if not all((raw / source).is_dir() for source in values["sources"]):
            return None
    data.parent.mkdir(parents=True, exist_ok=True)
    prepare(validate(DataSettings, values, "data"), raw, repo_root() / "data" / "knowledge", data)
    return data


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page, from the figures of each profile."""
    sections = ["# The outfit model, measured", _METHOD]
    for profile, title in PROFILES.items():
        sections.append(f"## {title}")
        if profile not in results:
            sections.append(f"Not measured: {_MISSING[profile]}.")
            continue
        sections += _sections(results[profile])
    return "\n\n".join(sections) + "\n"


_METHOD = (
    "Written by `make bench-outfits` (CPU, no network). Every blank of every test outfit is asked for; *same category*: the "
    "three wrong garments are of the right one's category, *random*: of any. *Without titles*: as a detector finds garments; the "
    "model reads pictures, and calls each garment by its colours and category. Intervals are 95 %, by drawing the test outfits "
    "again 1000 times; a gain is paired. Of the counts only *word pairs* is a control of the gate: smoothed PMI of the words and "
    "categories that training outfits hold. *Co-occurrence of ids* remembers which garments were worn together; a garment of a "
    "user, or a new one of a shop, has no such past, so it is reported and judges nothing."
)


def _sections(result: Mapping[str, Any]) -> list[str]:
    values = result["values"]
    rows = [
        [said, *(values[f"{name}{suffix}"] for suffix in ("", "_untitled"))]
        for name, said in (
            ("fitb", "FITB, same category"), ("word_pairs_fitb", "- word pairs"), ("gain_fitb", "- gain over word pairs"),
            ("cooccurrence_fitb", "- co-occurrence of ids"), ("popularity_fitb", "- popularity of ids"),
            ("fitb_random", "FITB, random"), ("word_pairs_fitb_random", "- word pairs"),
            ("gain_fitb_random", "- gain over word pairs"), ("auc", "AUC, same categories swapped"),
            ("ece", "expected calibration error"), ("ece_parts", "- of two or more garments of each outfit"),
            ("one_category_odds", "odds of one category over those of true outfits"),
        )
    ]  # fmt: skip
    categories = result["categories"]
    found = [
        f"{result['outfits']} test outfits, {result['questions']} blanks; trained in {result['train_seconds']:.0f} s "
        f"({result['train_cpu_seconds']:.0f} CPU seconds) on {result['machine']}.",
        _table(["", "with titles", "without titles"], rows),
    ]
    if "style_fitb" in values:
        found.append(
            "Had six titles of ten named the style that decides what goes together, word pairs would reach "
            f"{values['style_fitb']}."
        )
    found += [
        "FITB of one category by the category of the blank:",
        _table(
            ["category", "blanks", "with titles", "without titles", "word pairs, with titles", "word pairs, without"],
            [[name, *map(str, row)] for name, row in categories.items()],
        ),
    ]
    return found


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=home() / "bench-outfits", help="data and trainings; kept")
    parser.add_argument("--page", type=Path, default=repo_root() / "docs" / "benchmarks" / "outfits.md")
    parser.add_argument(
        "--only", choices=PROFILES, help="measure one profile; the page shows what was measured before as well"
    )
    options = parser.parse_args()
    for profile in [options.only] if options.only else PROFILES:
        if (data := prepared(profile, options.work)) is not None:
            measure(profile, options.work, data)
    kept = {profile: options.work / profile / _RESULT for profile in PROFILES}
    results = {profile: read_json(file, "the figures of a run") for profile, file in kept.items() if file.is_file()}
    write_text(options.page, page(results))


if __name__ == "__main__":
    main()
