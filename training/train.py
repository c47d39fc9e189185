"""Train one model from prepared data into an artifact directory: the body of the `train` stages.

    python -m training.train detection --profile sample --data DATA --out DIR

needs no server and, with `--no-tracking`, none of Prefect, MLflow, DVC and BentoML. The artifact appears at `--out` in one
rename; a killed training is resumed from its last epoch when the inputs are the same.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aura.artifact import content_hash, write_json, write_text
from aura.error_file import reporting_errors
from aura.errors import DataError, RegistryError
from aura.fingerprints import code_fingerprint
from aura.lineage import git_commit, value_hash
from aura.output_folders import (
    CHECKPOINTS,
    MODEL,
    PLOTS,
    fresh_folder,
    refuse_foreign,
    refuse_overlap,
    replace_output,
)
from aura.prepared_rows import OutfitRow, read_rows
from aura.settings import add_settings_options, chosen_settings
from aura.supervision import die_with_parent
from aura.tracking import Tracker, TrackingSettings, open_tracker
from aura.training_sources import record_sources
from inference.references import weights_behind
from inference.smoke_test import record
from training.average_record import recorded_average
from training.context import TrainContext
from training.device import training_device
from training.models import MODELS
from training.settings import RunSettings, TrainerSettings
from training.spec import ModelSpec


@dataclass(frozen=True, kw_only=True)
class Folders:
    """Where a training reads and writes."""

    data: Path
    base: Path | None
    checkpoints: Path
    plots: Path
    out: Path
    saved: Path | None = None


def run(
    spec: ModelSpec, settings: TrainerSettings, common: RunSettings, folders: Folders, resolved: dict[str, Any]
) -> dict[str, float]:
    """Train (or resume), then put the finished artifact at `folders.out`; returns metrics with `seconds`.

    Raises:
        DataError: the prepared data is missing.
        RegistryError: MLflow cannot be used, or was away for longer than its client waits (four minutes).
        ForeignFolderError: an output would take the place of a folder that no training made.
        SettingsError: an output would take the place of another one, or of an input.
    """
    began = time.monotonic()
    _check_outputs(folders)
    lineage = _lineage(spec, settings, common, folders)
    checkpoints = _checkpoint_folder(folders.checkpoints, str(lineage["candidate_id"]))
    tracker = open_tracker(
        common.tracking, experiment=f"{common.tracking.prefix(common.profile)}/{spec.name}", folder=checkpoints,
        run_name=f"{spec.name}-{str(lineage['candidate_id'])[:8]}",
    )  # fmt: skip
    building = folders.out.with_name(f".{folders.out.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    fresh_folder(folders.plots, PLOTS)
    context = TrainContext(
        data_dir=folders.data, out_dir=building, checkpoint_dir=checkpoints, plots_dir=folders.plots,
        base_dir=folders.base, tracker=tracker, seed=common.seed, candidate_id=str(lineage["candidate_id"]),
        saved_dir=folders.saved,
    )  # fmt: skip
    with tracker.told():
        tracker.set_tags({key: str(value) for key, value in lineage.items()})
        tracker.log_params(_flat(resolved))
        try:
            metrics = spec.train(settings, context)
            if average := recorded_average(building):
                lineage["champion_share"] = round(1 - average.alpha, 4)
                tracker.set_tags({"champion_share": str(lineage["champion_share"])})
            _complete_artifact(building, spec.name, metrics, lineage)
            write_json(building / "params.json", resolved)
            record_sources(building, [folders.data / name for name in spec.data_folders], folders.base)
            record(spec.smoke_test, building, training_device(settings))
            replace_output(building, folders.out, MODEL)
            _report(tracker, metrics, folders.plots)
        except BaseException:
            # What ended the training is worth more than that it cannot be marked.
            with suppress(RegistryError), tracker.told():
                tracker.finish("FAILED")
            raise
    return metrics | {"seconds": round(time.monotonic() - began, 1)}


def _check_outputs(folders: Folders) -> None:
    """Now: after hours of training it would be too late."""
    refuse_overlap(
        {"--out": folders.out, "--pictures": folders.plots},
        {"--checkpoints": folders.checkpoints, "--data": folders.data}
        | ({"--base": folders.base} if folders.base else {})
        | ({"--saved": folders.saved} if folders.saved else {}),
    )
    refuse_foreign({folders.out: MODEL, folders.plots: PLOTS})


def _lineage(spec: ModelSpec, settings: TrainerSettings, common: RunSettings, folders: Folders) -> dict[str, Any]:
    """Everything that decides the result, and the id made of it."""
    missing = [name for name in spec.data_folders if not (folders.data / name).is_dir()]
    if missing:
        raise DataError(
            f"prepared data lacks {', '.join(missing)} in {folders.data}",
            hint="run the prepare stage first: aura data prepare",
        )
    inputs = {
        "model": spec.name,
        "data_hash": value_hash([content_hash(folders.data / name) for name in spec.data_folders]),
        "settings_hash": value_hash(settings.model_dump(mode="json")),
        "code_hash": code_fingerprint(spec.entries),
        "weights": value_hash(weights_behind(settings.model_dump(mode="json"))),
        "base": content_hash(folders.base) if folders.base else "",
        "seed": common.seed,
    }
    if folders.saved and (saved := len(read_rows(folders.saved / "outfits.jsonl", OutfitRow))):
        inputs |= {"saved_outfits": saved, "saved_hash": content_hash(folders.saved)}
    return inputs | {"candidate_id": value_hash(inputs), "git_commit": git_commit()}


def _checkpoint_folder(root: Path, candidate_id: str) -> Path:
    """Folder of this training's checkpoints; those of trainings with other inputs are removed."""
    folder = root / candidate_id[:16]
    folder.mkdir(parents=True, exist_ok=True)
    CHECKPOINTS.put_on(folder)
    for other in root.iterdir():
        if other != folder and CHECKPOINTS.is_on(other):
            shutil.rmtree(other)
    return folder


def _complete_artifact(folder: Path, model: str, metrics: dict[str, float], lineage: dict[str, Any]) -> None:
    write_json(folder / "metrics.json", metrics)
    write_json(folder / "lineage.json", lineage)
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in sorted(metrics.items()))
    facts = "\n".join(f"- {name}: `{value}`" for name, value in sorted(lineage.items()) if value != "")
    average = recorded_average(folder)
    averaged = f"Averages with the champion that it began with: {average}.\n\n" if average else ""
    write_text(
        folder / "card.md",
        f"# {model}\n\nValidation metrics of the weights in this folder:\n\n| metric | value |\n|---|---|\n{rows}\n\n"
        f"{averaged}Lineage:\n\n{facts}\n",
    )


def _report(tracker: Tracker, metrics: dict[str, float], plots: Path) -> None:
    tracker.log_metrics({f"final/{name}": value for name, value in metrics.items()})
    for plot in sorted(plots.iterdir()):
        if plot.suffix in {".png", ".md", ".csv"}:
            tracker.log_picture(plot)
    tracker.finish()


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted keys, the form that the MLflow UI compares side by side."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="training.train", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", choices=MODELS)
    add_settings_options(parser)
    parser.add_argument("--data", type=Path, required=True, help="prepared data")
    parser.add_argument("--out", type=Path, required=True, help="artifact directory to write")
    parser.add_argument("--base", type=Path, help="champion's artifact to fine-tune from, if the folder exists")
    parser.add_argument("--saved", type=Path, help="outfits that people have saved, for the outfit model")
    parser.add_argument("--checkpoints", type=Path, help="default: beside --out")
    parser.add_argument("--pictures", type=Path, help="folder for plots and samples; default: beside --out")
    parser.add_argument("--metrics", type=Path, help="JSON file for the metrics; default: beside --out")
    parser.add_argument("--no-tracking", action="store_true", help="do not use MLflow")
    return parser.parse_args(arguments)


@reporting_errors
def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    die_with_parent()
    out: Path = options.out
    spec = MODELS[options.model]
    settings, common = spec.read_settings(chosen_settings(options))
    if options.no_tracking:
        common = common.model_copy(update={"tracking": TrackingSettings(enabled=False)})
    resolved = {options.model: settings.model_dump(mode="json"), "seed": common.seed, "profile": common.profile}
    folders = Folders(
        data=options.data,
        base=options.base if options.base and (options.base / "config.json").is_file() else None,
        checkpoints=options.checkpoints or out.with_name(f"{out.name}.checkpoints"),
        plots=options.pictures or out.with_name(f"{out.name}.pictures"),
        out=out,
        saved=options.saved,
    )
    metrics = run(spec, settings, common, folders, resolved)
    write_json(options.metrics or out.with_name(f"{out.name}.metrics.json"), metrics)
    print(f"{options.model}: " + ", ".join(f"{name}={value:.4g}" for name, value in sorted(metrics.items())))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
