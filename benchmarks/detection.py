"""The detector on a pretrained backbone beside the own one, on real photos (CCP) and on drawn ones.

    aura data import ccp PATH
    python -m benchmarks.detection [--work FOLDER] [--only ccp/lite0 ...] [--seeds 7 8 9] [--page PAGE] [--page-only]

Each recipe is trained with three seeds by the code that a night trains with, and measured on the whole test split, of which
nothing was chosen. What is trained stays in the work folder: a run that was stopped goes on from there, and the page says how
many trainings it rests on. Ten test photos with the boxes of the first training are drawn there as well; what is seen in them is
written by a person into `benchmarks/detection_seen.md`, which becomes part of the page.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from aura.artifact import write_text
from aura.errors import DataError
from aura.paths import home, repo_root
from aura.settings import read_profile, validate
from benchmarks.retrainings import Recipe, Retraining, artifact, finished, retrain
from dataprep.prepare import prepare
from dataprep.settings import DataSettings
from flows.gate import interval
from inference.detection.detector import Detector
from inference.references import LITE0_REFERENCE
from training.detection.coco import read_split
from training.detection.counted_precision import CountedPrecision
from training.detection.evaluate import rank_photos
from training.detection.plots import draw_pairs
from training.judged import JudgedCases
from training.paired import differences

SEEDS = (7, 8, 9)
_ALL_ROWS = 1_000_000
_DRAWN_PHOTOS = 10
_NOT_MEASURED = (
    "One-to-many matching (H-DETR, arXiv 2207.13080; Group DETR, arXiv 2207.13085) and denoising queries (DN-DETR, arXiv "
    "2203.01305) were not tried: each would have to stay better over three seeds, and none is in the code. The second head on "
    "the encoder's tokens (Co-DETR, arXiv 2211.12860) is in every training above. The depthwise filters and three frozen stages "
    "were chosen by the time of a step, not by AP50, and the sides of the canvas by their ratio, which is that of the photos."
)
_SEEN = Path(__file__).with_name("detection_seen.md")


@dataclass(frozen=True, kw_only=True)
class Study:
    """Recipes that are compared on one data set, the profile's own last; each difference is to the first.

    Attributes:
        profile: whose data is prepared; also the folder of its trainings.
        title, about: of its section of the page.
        recipes: what is said of each on the page, and how it is trained.
    """

    profile: str
    title: str
    about: str
    recipes: Mapping[str, Recipe]


def studies() -> tuple[Study, ...]:
    """Read from the profiles, so that the page shows what a night does."""
    return _ccp(), _ccp_in_half_the_time(), _sample()


def _recipe(name: str, values: Mapping[str, object]) -> Recipe:
    return Recipe(name=name, model="detection", rows=_ALL_ROWS, changes=dict(values) | {"accelerator": "cpu"})


def _ccp() -> Study:
    profile = read_profile("ccp")["detection"]
    low = {"image_height": 192, "image_width": 128}
    common = {key: profile[key] for key in ("augment", "validate_every_epochs")} | low
    return Study(
        profile="ccp",
        title="Street photos (CCP)",
        about="Clothing Co-Parsing, 800 photos: boxes are those of the labels' pixels, in 12 categories.",
        recipes={
            "own backbone, 192 x 128": _recipe("own", common | {"max_epochs": _OWN_EPOCHS}),
            "Lite0, 192 x 128": _recipe("lite0-192", profile | low | {"max_epochs": _LOW_EPOCHS}),
            "Lite0, the profile": _recipe("lite0", profile),
        },
    )


_OWN_EPOCHS, _LOW_EPOCHS = 72, 56
"""So many that the CPU seconds are about those of the profile's training."""


def _ccp_in_half_the_time() -> Study:
    own, _, lite0 = _ccp().recipes.values()
    halves = {
        name: _recipe(f"{recipe.name}-half", dict(recipe.changes) | {"max_epochs": recipe.changes["max_epochs"] // 2})
        for name, recipe in (("own backbone, 192 x 128", own), ("Lite0, half the profile's epochs", lite0))
    }
    return Study(
        profile="ccp",
        title="Street photos (CCP), half the epochs",
        about="The same photos: what is lost, and who loses less, where a night is shorter.",
        recipes=halves,
    )


def _sample() -> Study:
    return Study(
        profile="sample",
        title="Drawn pictures (the sample profile)",
        about="What a first night is trained on.",
        recipes={
            "own backbone, 20 epochs": _recipe("own", {}),
            "the profile": _recipe("profile", read_profile("sample").get("detection", {})),
        },
    )


def prepared(profile: str, work: Path) -> Path:
    """Prepared data of a profile.

    Raises:
        DataError: its photos were not imported.
    """
    data, imported = work / profile / "data", home() / "raw" / profile
    if not data.is_dir():
        raw = work / profile / "raw"
        if profile == "ccp":
            if not imported.is_dir():
                raise DataError(f"no photos in {imported}", hint="aura data import ccp PATH")
            raw = imported.parent
        settings = validate(DataSettings, read_profile(profile).get("data"), "data")
        prepare(settings, raw, repo_root() / "data" / "knowledge", data)
    return data


@cache
def _ranked(model: Path, data: Path) -> CountedPrecision:
    """One trained detector on the whole test split."""
    photos, labels = read_split(data, "test")
    return CountedPrecision(rank_photos(Detector.load(model), photos), photos, len(labels))


def mean_over_seeds(models: Sequence[Path], data: Path) -> JudgedCases:
    """AP50 on the whole test split, over all categories and per category, as the mean of some detectors."""
    photos, labels = read_split(data, "test")
    of_seeds = [_ranked(model, data) for model in models]
    boxes = of_seeds[0].boxes_CP.sum(axis=1)
    known = np.flatnonzero(boxes)

    def measure(counts: np.ndarray) -> Mapping[str, float]:
        ap50_C = np.mean([precision.ap50(counts)[known] for precision in of_seeds], axis=0)
        named = {labels[label]: float(value) for label, value in zip(known, ap50_C, strict=True)}
        return {"ap50": float(np.nanmean(ap50_C))} | named

    return JudgedCases(
        unit="photos", cases=tuple(photo.path.name for photo in photos), measure=measure,
        sizes={labels[label]: int(boxes[label]) for label in known},
    )  # fmt: skip


def _section(study: Study, work: Path) -> list[str]:
    folder, data = work / study.profile, work / study.profile / "data"
    trained = {name: done for name, recipe in study.recipes.items() if (done := _trained(folder, recipe))}
    if not trained:
        return [f"## {study.title}", "Not trained yet."]
    models = {
        name: {seed: artifact(folder, study.recipes[name], seed) for seed in each} for name, each in trained.items()
    }
    measured = {name: mean_over_seeds(list(each.values()), data) for name, each in models.items()}
    first = next(iter(models))
    rows = [
        [
            name,
            f"**{measured[name].values['ap50']:.3f}**",
            ", ".join(f"{mean_over_seeds([model], data).values['ap50']:.3f}" for model in models[name].values()),
            "-" if name == first else _beside(models[name], models[first], data),
            f"{np.mean([training.seconds for training in trained[name].values()]):.0f}",
        ]
        for name in trained
    ]
    splits = {split: len(read_split(data, split)[0]) for split in ("train", "val", "test")}
    counted = ", ".join(f"{len(trained.get(name, {}))} of {len(SEEDS)} ({name})" for name in study.recipes)
    return [
        f"## {study.title}",
        f"{study.about} {splits['train']} photos train, {splits['val']} choose the checkpoint, {splits['test']} are measured "
        f"here. **Trained so far: {counted}.**",
        _table(
            ["detector", "AP50, mean of the seeds", "per seed", "beside the first, 95 % over photos", "CPU seconds"],
            rows,
        ),
        "*Beside the first*: seeds that both have, paired photo by photo. *CPU seconds*: of the whole training with its "
        "validations, over all threads, per seed; they are more where other processes share the cores.",
        _table(
            ["category", "boxes", *measured],
            [
                [label, str(size), *(f"{each.values[label]:.3f}" for each in measured.values())]
                for label, size in sorted(measured[first].sizes.items(), key=lambda label_size: -label_size[1])
            ],
        ),
    ]


def _beside(models: Mapping[int, Path], others: Mapping[int, Path], data: Path) -> str:
    """Difference of the means over the seeds that both were trained with."""
    seeds = models.keys() & others.keys()
    if not seeds:
        return "no seed in common"
    new, old = (mean_over_seeds([which[seed] for seed in sorted(seeds)], data) for which in (models, others))
    return interval(differences(new, old, seed=0)["ap50"].as_dict())


def _trained(folder: Path, recipe: Recipe) -> dict[int, Retraining]:
    return {seed: done for seed in SEEDS if (done := finished(folder, recipe, seed)) is not None}


def page(work: Path) -> str:
    """The page, from the trainings that are there."""
    sections = [
        "# The detector, measured",
        "Written by `make bench-detection` (2 cores, CPU, no network, after `aura data import ccp PATH`), which trains what is "
        f"missing in its work folder and goes on where it was stopped. The pretrained backbone is `{LITE0_REFERENCE}`.",
    ]
    for study in studies():
        sections += _section(study, work)
    sections += ["## Not measured", _NOT_MEASURED]
    if _SEEN.is_file():
        sections += ["## Ten photos of the test split, looked at", _SEEN.read_text(encoding="utf-8").strip()]
    return "\n\n".join(sections) + "\n"


def draw_photos(work: Path) -> None:
    """Ten photos of the first test split, evenly spread over it, with the boxes of the first training as the profile says."""
    first = studies()[0]
    folder = work / first.profile
    trained = [
        artifact(folder, recipe, seed)
        for study in studies()
        if study.profile == first.profile
        for recipe in list(study.recipes.values())[-1:]
        for seed in _trained(folder, recipe)
    ]
    if not trained:
        return
    photos, _ = read_split(folder / "data", "test")
    detector = Detector.load(trained[0])
    for row in np.linspace(0, len(photos) - 1, _DRAWN_PHOTOS).round().astype(int).tolist():
        draw_pairs(folder / f"seen-{photos[row].path.stem}.png", detector, [photos[row]])


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=home() / "benchmarks" / "detection", help="trainings; kept")
    parser.add_argument("--only", nargs="*", help="train these, as PROFILE/RECIPE, for example ccp/lite0; default: all")
    parser.add_argument("--seeds", nargs="*", type=int, choices=SEEDS, default=SEEDS)
    parser.add_argument("--page", type=Path, default=repo_root() / "docs" / "benchmarks" / "detection.md")
    parser.add_argument("--page-only", action="store_true", help="write the page from the trainings that are there")
    options = parser.parse_args()
    for study in () if options.page_only else studies():
        wanted = [
            recipe
            for recipe in study.recipes.values()
            if options.only is None or f"{study.profile}/{recipe.name}" in options.only
        ]
        if wanted:
            data = prepared(study.profile, options.work)
        for seed in options.seeds:
            for recipe in wanted:
                training = retrain(options.work / study.profile, data, recipe, seed)
                print(
                    f"{study.profile} {recipe.name} {seed}: AP50 {training.metrics['ap50']:.4f} on the reported half, "
                    f"{training.seconds:.0f} CPU s",
                    flush=True,
                )
    draw_photos(options.work)
    write_text(options.page, page(options.work))


if __name__ == "__main__":
    main()
