"""Trainings of one recipe with many seeds, each evaluated once and kept, so that a benchmark goes on where it was stopped."""

from __future__ import annotations

import gc
import hashlib
import json
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aura.artifact import read_json, write_json
from aura.lineage import value_hash
from aura.tracking import LocalTracker
from training.context import TrainContext
from training.judged import JudgedCases
from training.models import MODELS
from training.paired import differences

SEED = 7
"""Of the bootstrap and of the questions, as in the sample profile; also the champion's."""
BASE_SEED = 1
RESAMPLES = 20
"""Judging halves that are drawn again where trainings are too long for as many of them."""
_RESULT = "result.json"


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a model is trained.

    Attributes:
        rows: photos or outfits of the training split, from the first.
        changes: settings that differ from the schema's defaults.
        base: the recipe whose first training it continues; None: from scratch.
        drawn: judge it on drawn halves as well, where trainings are too long for many of them.
    """

    name: str
    model: str
    rows: int
    changes: Mapping[str, Any]
    base: Recipe | None = None
    drawn: bool = False

    @property
    def settings(self) -> Any:
        """Settings of the training."""
        return MODELS[self.model].settings.model_validate(dict(self.changes))

    @property
    def identity(self) -> str:
        """Hash of everything that decides the trainings, but the seed."""
        return value_hash([self.model, self.rows, dict(self.changes), self.base.identity if self.base else ""])


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """One training, evaluated: `metrics` on the reported half, `judged` on the judging half."""

    metrics: Mapping[str, float]
    judged: JudgedCases
    seconds: float


def retrain(work: Path, data: Path, recipe: Recipe, seed: int) -> Retraining:
    """Train and evaluate, or read what an earlier run has left."""
    done = finished(work, recipe, seed)
    if done is not None:
        return done
    folder, base = _folder(work, recipe, seed), None
    if recipe.base:
        retrain(work, data, recipe.base, BASE_SEED)
        base = artifact(work, recipe.base, BASE_SEED)
    shutil.rmtree(folder, ignore_errors=True)
    context = TrainContext(
        data_dir=_part_of(data, recipe.model, recipe.rows, work), out_dir=artifact(work, recipe, seed), seed=seed, base_dir=base,
        checkpoint_dir=folder / "checkpoints", plots_dir=folder / "plots", tracker=LocalTracker(folder / "checkpoints"),
    )  # fmt: skip
    for needed in (context.out_dir, context.checkpoint_dir, context.plots_dir):
        needed.mkdir(parents=True)
    began = time.process_time()
    MODELS[recipe.model].train(recipe.settings, context)
    seconds = time.process_time() - began
    gc.collect()
    evaluation = MODELS[recipe.model].evaluate(context.out_dir, data, recipe.settings, SEED)
    write_json(
        folder / _RESULT,
        {
            "recipe": recipe.identity, "seconds": seconds, "metrics": evaluation.metrics,
            "judged": remembered(evaluation.judged, drawn=recipe.drawn),
        },
    )  # fmt: skip
    shutil.rmtree(context.checkpoint_dir)
    return Retraining(metrics=evaluation.metrics, judged=evaluation.judged, seconds=seconds)


def finished(work: Path, recipe: Recipe, seed: int) -> Retraining | None:
    """What an earlier run has left of this training; None where it left nothing, or trained in another way."""
    path = _folder(work, recipe, seed) / _RESULT
    if not path.is_file():
        return None
    stored = read_json(path, "the result of a retraining")
    if stored["recipe"] != recipe.identity:
        return None
    return Retraining(metrics=stored["metrics"], seconds=stored["seconds"], judged=recalled(stored["judged"]))


def artifact(work: Path, recipe: Recipe, seed: int) -> Path:
    """Folder of the trained model."""
    return _folder(work, recipe, seed) / "out"


def _folder(work: Path, recipe: Recipe, seed: int) -> Path:
    return work / recipe.model / f"{recipe.name}-{seed}"


def _part_of(data: Path, model: str, rows: int, work: Path) -> Path:
    """Prepared data with the first rows of the training split alone."""
    source, target = data / model, work / "parts" / f"{model}-{rows}" / model
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("images"))
    (target / "images").symlink_to((source / "images").resolve())
    if model == "detection":
        tables = json.loads((source / "train.json").read_text(encoding="utf-8"))
        tables["images"] = tables["images"][:rows]
        kept = {image["id"] for image in tables["images"]}
        tables["annotations"] = [box for box in tables["annotations"] if box["image_id"] in kept]
        write_json(target / "train.json", tables)
    else:
        lines = (source / "train.jsonl").read_bytes().splitlines(keepends=True)
        (target / "train.jsonl").write_bytes(b"".join(lines[:rows]))
    return target.parent


def drawn_halves(n: int) -> list[np.ndarray]:
    """`RESAMPLES` draws with replacement of n cases: their rows, int (n,). The same for every model."""
    rng = np.random.default_rng(SEED)
    return [rng.integers(0, n, n) for _ in range(RESAMPLES)]


def drawn_again(judged: JudgedCases, rows: np.ndarray) -> JudgedCases:
    """A model on the cases in these rows, int (N,), where a case may stand more than once."""
    n = len(judged.cases)

    def measure(counts: np.ndarray) -> Mapping[str, float]:
        return judged.measure(np.bincount(rows, weights=counts, minlength=n).astype(np.int64))

    cases = tuple(f"{place}: {judged.cases[row]}" for place, row in enumerate(rows))
    return JudgedCases(unit=judged.unit, cases=cases, measure=measure, sizes=judged.sizes)


def remembered(judged: JudgedCases, *, drawn: bool = False) -> dict[str, Any]:
    """A model on the half and on every draw of the gate's bootstrap, for JSON.

    Args:
        drawn: on those of the drawn halves as well.
    """
    seen: dict[str, Mapping[str, float]] = {}

    def measure(counts: np.ndarray) -> Mapping[str, float]:
        key = _digest(counts)
        if key not in seen:
            seen[key] = judged.measure(counts)
        return seen[key]

    watched = replace(judged, measure=measure)
    differences(watched, watched, SEED)
    for rows in drawn_halves(len(judged.cases)) if drawn else ():
        half = drawn_again(watched, rows)
        differences(half, half, SEED)
    names = list(judged.values)
    return {
        "unit": judged.unit, "cases": judged.cases, "sizes": dict(judged.sizes), "names": names,
        "draws": {key: " ".join(repr(float(values[name])) for name in names) for key, values in seen.items()},
    }  # fmt: skip


def recalled(stored: Mapping[str, Any]) -> JudgedCases:
    names = stored["names"]
    draws = {key: dict(zip(names, map(float, values.split()), strict=True)) for key, values in stored["draws"].items()}

    def measure(counts: np.ndarray) -> Mapping[str, float]:
        return draws[_digest(counts)]

    return JudgedCases(unit=stored["unit"], cases=tuple(stored["cases"]), measure=measure, sizes=stored["sizes"])


def _digest(counts: np.ndarray) -> str:
    return hashlib.sha256(counts.astype(np.int64).tobytes()).hexdigest()[:16]
