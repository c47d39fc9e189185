"""Does the gate promote what is better, and nothing else? Retrainings with other seeds, judged as a night judges them.

    python -m benchmarks.gate [--work FOLDER] [--data PREPARED] [--page docs/benchmarks/gate.md] [--page-only]

The champion is one training by the first recipe of a model. Its *equals* are trainings by the same recipe with other seeds, the
*better* ones had more data. Each is compared with the champion by `training.evaluate.judging` and judged by `flows.gate.judge`,
on the judging half of the sample profile's test split. What is trained stays in the work folder: a run that was stopped goes on
from there, and the page says how many retrainings it rests on.
"""

from __future__ import annotations

import argparse
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from aura.artifact import write_text
from aura.errors import DataError
from aura.paths import home, repo_root
from aura.settings import read_profile, validate
from benchmarks.retrainings import BASE_SEED, RESAMPLES, SEED, Recipe, Retraining, artifact, finished, retrain
from benchmarks.verdicts import Judged, against, any_pair, judged_beside, resampled, rule_of, seed_deviation
from benchmarks.weight_averages import kept_rows
from dataprep.prepare import prepare
from dataprep.settings import DataSettings
from flows.gate import interval
from training.judged import JudgedCases
from training.models import MODELS
from training.spec import GateRule

RETRAININGS = 20

_SMALL = {"image_height": 96, "image_width": 64, "num_threads": 1, "accelerator": "cpu", "patience": 20}


def _detection() -> tuple[Recipe, Recipe]:
    beginning = Recipe(
        name="beginning", model="detection", rows=400, changes=_SMALL | {"max_epochs": 25, "validate_every_epochs": 5}
    )
    larger = Recipe(
        name="beginning-on-more-data", model="detection", rows=1466,
        changes=_SMALL | {"max_epochs": 11, "validate_every_epochs": 2},
    )  # fmt: skip
    night = _SMALL | {
        "max_epochs": 1, "validate_every_epochs": 1, "warm_start_rate": 0.6, "average_with_champion": (),
    }  # fmt: skip
    equal = Recipe(name="equal", model="detection", rows=400, changes=night, base=beginning)
    return equal, replace(equal, name="better", base=larger)


def _outfits() -> tuple[Recipe, Recipe]:
    changes = {"max_epochs": 6, "num_threads": 1, "accelerator": "cpu"}
    equal = Recipe(name="equal", model="outfits", rows=60, changes=changes, drawn=True)
    return equal, replace(equal, name="better", rows=900)


DETECTION, OUTFITS = _detection(), _outfits()
"""The recipe of the champion and its equals, and the one of the better challengers."""
GROWN = replace(DETECTION[0], name="grown", rows=1466)
"""A night whose data has grown, for the averages of weights."""


def train_all(work: Path, data: Path) -> Iterator[str]:
    """Train and evaluate what is missing; yields a line for each."""
    wanted = [(DETECTION[0], SEED), (GROWN, SEED)]
    wanted += [(recipe, SEED + number) for number in range(1, RETRAININGS + 1) for recipe in DETECTION]
    wanted += [(OUTFITS[0], SEED), (OUTFITS[0], SEED + 1), (OUTFITS[1], SEED + 1)]
    for recipe, seed in wanted:
        training = retrain(work, data, recipe, seed)
        metric = rule_of(recipe.model).metric
        yield f"{recipe.model} {recipe.name} {seed}: {metric} {training.metrics[metric]:.4f}, {training.seconds:.0f} s"


def page(work: Path, data: Path) -> str:
    """The page, from the trainings that are there.

    Raises:
        DataError: the champion is not trained yet.
    """
    sections = [
        "# The gate, measured",
        "Written by `make bench-gate` (2 cores, CPU, no network), which trains what is missing in its work folder and goes on "
        "where it was stopped.",
        *_detection_sections(work, data),
        *_outfits_sections(work, data),
        *_average_sections(work, data),
    ]
    return "\n\n".join(sections) + "\n"


def _detection_sections(work: Path, data: Path) -> list[str]:
    rule = rule_of("detection")
    trained = {recipe.name: _trained(work, recipe) for recipe in DETECTION}
    champion = trained["equal"].pop(SEED, None)
    if champion is None:
        raise DataError("the champion is not trained yet", hint="run without --page-only")
    controls = MODELS["detection"].controls(data, DETECTION[0].settings, SEED)
    verdicts = {name: against(champion, challengers, controls, rule) for name, challengers in trained.items()}
    equals = [champion, *trained["equal"].values()]
    photos_alone = any_pair(equals, rule.model_copy(update={"seed_deviation": 0.0}))
    rows = [
        [f"{len(each)} {name}", _mean(verdict.true for verdict in each), *_gain_and_counts(each)]
        for name, each in verdicts.items()
    ]
    rows.append([f"{len(equals)} equals in every pair", "0 by symmetry", *_gain_and_counts(any_pair(equals, rule))])
    rows.append(["the same, without the part of the seeds", "0 by symmetry", *_gain_and_counts(photos_alone)])
    return [
        "## Detector: equals, and challengers that are better",
        f"{_DETECTOR_METHOD} The champion has AP50 {champion.judged.values['ap50']:.3f} on the judging half "
        f"({len(champion.judged.cases)} photos) and {champion.metrics['ap50']:.3f} on the reported half. **This page rests on "
        f"{len(verdicts['equal'])} of {RETRAININGS} equals and {len(verdicts['better'])} of {RETRAININGS} better ones.**",
        _table(["challengers", "true gain", "gain on the judging half", *_OUTCOMES], rows),
        "*True gain*: mean over the challengers, on the reported half, which no verdict reads. Which seed is the champion's was "
        "chance, so the third row makes each training by the first recipe the champion once.",
        _noise(verdicts, equals, rule),
        _table(
            ["challenger", "seed", "reported half", "judging half, 95 % interval over photos", "outcome", "reason"],
            [
                [
                    name,
                    str(verdict.seed),
                    f"{verdict.true:+.3f}",
                    interval(verdict.difference),
                    verdict.outcome,
                    verdict.reason,
                ]
                for name, each in verdicts.items()
                for verdict in each
            ],
        ),
    ]


def _noise(verdicts: Mapping[str, Sequence[Judged]], equals: Sequence[Retraining], rule: GateRule) -> str:
    """Standard errors, and what they let the gate see."""
    errors = {name: np.mean([v.difference["standard_error"] for v in each]) for name, each in verdicts.items() if each}
    photos = " and ".join(f"{error:.3f} ({name})" for name, error in errors.items())
    seen = " and ".join(
        f"{2.8 * math.hypot(error, math.sqrt(2) * rule.seed_deviation):.3f} ({name})" for name, error in errors.items()
    )
    seeds = f"{seed_deviation(equals, 'ap50'):.4f}" if len(equals) > 2 else "not known yet"
    return (
        f"A difference has a standard error over photos of {photos}. Trainings that differ in the seed alone differ in quality "
        f"with a standard deviation of {seeds}: what {len(equals)} of them have in common between the two halves, which share no "
        f"photo. The gate takes {rule.seed_deviation:g} for it (`gate.detection.seed_deviation`); with both parts a true gain of "
        f"{seen} is found four times in five."
    )


_DETECTOR_METHOD = (
    "A detector of 0.9 million parameters (photos of 96 x 64 px) was trained on 400 drawn photos, and another on all 1466. "
    "Champion and equals continue the first with one pass over the 400 photos, as a night continues its champion; seeds decide "
    "order and augmentation, so that they are equal in expectation and differ as retrainings do. The better ones continue the "
    "second detector in the same way: they have seen more data."
)
_OUTCOMES = ("promoted", "better, but kept", "cannot tell", "worse")


def _outfits_sections(work: Path, data: Path) -> list[str]:
    """Resampled, with the trainings that are there."""
    rule, trained = rule_of("outfits"), {recipe.name: _trained(work, recipe) for recipe in OUTFITS}
    title = "## Outfit model: three trainings, judging halves drawn again"
    if not {SEED, SEED + 1} <= trained["equal"].keys() or SEED + 1 not in trained["better"]:
        return [title, "Not trained yet."]
    controls = MODELS["outfits"].controls(data, OUTFITS[0].settings, SEED)
    champion, twin = (trained["equal"][seed].judged for seed in (SEED, SEED + 1))
    challenger = trained["better"][SEED + 1].judged
    return [title, *resampled_section(champion, twin, challenger, controls, rule)]


def resampled_section(
    champion: JudgedCases, twin: JudgedCases | None, challenger: JudgedCases, controls: Mapping[str, JudgedCases], rule: GateRule
) -> list[str]:  # fmt: skip
    """Of any model: how often a challenger is promoted on judging halves drawn again, and two trainings by one recipe.

    Args:
        twin: the champion's recipe with another seed; None where it was trained once.
    """
    real = judged_beside(challenger, champion, controls, rule)
    rows = [("the challenger", real, resampled(challenger, champion, controls, rule, exchange=False))]
    if twin is not None:
        again = judged_beside(twin, champion, controls, rule)
        rows.append(("an equal", again, resampled(twin, champion, controls, rule, exchange=True)))
    return [
        f"{RESAMPLES} judging halves of {len(champion.cases)} {champion.unit} each were drawn with replacement from the real "
        "one, and the gate judged on each. Of the equals (two trainings by one recipe) a coin said which is the champion.",
        _table(
            ["challenger", "real half, 95 % interval", "standard error", "detectable", *_OUTCOMES],
            [
                [name, interval(real.difference), f"{real.difference['standard_error']:.3f}",
                 f"{real.difference['detectable']:.3f}", *_counts(verdicts)]
                for name, real, verdicts in rows
            ],
        ),
    ]  # fmt: skip


def _average_sections(work: Path, data: Path) -> list[str]:
    title, base = "## Averages of weights", GROWN.base
    if base is None or finished(work, GROWN, SEED) is None:
        return [title, "Not trained yet."]
    champion, challenger = artifact(work, base, BASE_SEED), artifact(work, GROWN, SEED)
    rows = kept_rows(work / "averages.json", GROWN.identity, champion, challenger, data)
    return [
        title,
        "AP50 of averages of the first detector's weights (champion) with those of a night that continues it on all 1466 photos "
        "(challenger), on the validation split and on the reported half. *Averaged*: running statistics of the normalisation "
        "layers are averaged like the weights, as `training.average` does. *Estimated*: again, on 400 training photos.",
        _table(
            [
                "share of the challenger",
                "validation, averaged",
                "reported, averaged",
                "validation, estimated",
                "reported, estimated",
            ],
            [
                [f"{row.alpha:g}", f"{row.validation:.3f}", f"{row.reported:.3f}"]
                + ([f"{value:.3f}" for value in row.estimated] if row.estimated else ["-", "-"])
                for row in rows
            ],
        ),
    ]


def _trained(work: Path, recipe: Recipe) -> dict[int, Retraining]:
    seeds = range(SEED, SEED + RETRAININGS + 1)
    return {seed: done for seed in seeds if (done := finished(work, recipe, seed)) is not None}


def _counts(verdicts: Sequence[Judged]) -> list[str]:
    counted = Counter(verdict.outcome for verdict in verdicts)
    return [f"{counted[outcome]} of {len(verdicts)}" for outcome in _OUTCOMES]


def _gain_and_counts(verdicts: Sequence[Judged]) -> list[str]:
    return [_mean(verdict.difference["gain"] for verdict in verdicts), *_counts(verdicts)]


def _mean(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{np.mean(known):+.3f}" if known else "-"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=home() / "bench-gate", help="trainings; kept")
    parser.add_argument(
        "--data", type=Path, help="prepared data of the sample profile; default: drawn into the work folder"
    )
    parser.add_argument("--page", type=Path, default=repo_root() / "docs" / "benchmarks" / "gate.md")
    parser.add_argument("--page-only", action="store_true", help="write the page from the trainings that are there")
    options = parser.parse_args()
    data = options.data or options.work / "data"
    if not data.is_dir():
        settings = validate(DataSettings, read_profile("sample").get("data"), "data")
        prepare(settings, options.work / "raw", repo_root() / "data" / "knowledge", data)
    if not options.page_only:
        for line in train_all(options.work, data):
            print(line, flush=True)
    write_text(options.page, page(options.work, data))


if __name__ == "__main__":
    main()
