"""Champion, challenger and controls on the same test split in the same process: the body of the `evaluate` stages.

Writes one JSON file with the metrics of both models on the reported half, and how the challenger differs from the champion and
from each control on the judging half. The verdict is not taken here (see `flows.gate`): these are facts about the data and the
models, a verdict follows a rule that an operator may change.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aura.artifact import read_json, write_json
from aura.error_file import reporting_errors
from aura.errors import AuraError
from aura.settings import add_settings_options, chosen_settings
from aura.supervision import die_with_parent
from training.average_record import recorded_average
from training.judged import JudgedCases
from training.models import MODELS
from training.paired import differences, finite
from training.spec import ModelSpec


def compare(
    spec: ModelSpec, settings: Any, *, challenger: Path, champion: Path | None, data: Path, seed: int
) -> dict[str, Any]:
    """The challenger beside the controls and, when there is one that this code can still load, beside the champion.

    A champion that cannot answer on this data any more (older format, other categories) must not keep every challenger out
    for good; `champion_problem` says what is wrong with it.
    """
    began = time.monotonic()
    new = spec.evaluate(challenger, data, settings, seed)
    controls = {**spec.controls(data, settings, seed), **new.controls()}
    comparison: dict[str, Any] = {
        "model": spec.name,
        "candidate_id": read_json(challenger / "lineage.json", "the challenger's lineage")["candidate_id"],
        "challenger": new.reported(),
        "champion": None,
        "champion_candidate_id": None,
        "judging": judging(new.judged, None, controls, seed),
        "average": average.as_dict() if (average := recorded_average(challenger)) else None,
    }
    if champion is not None:
        try:
            lineage = read_json(champion / "lineage.json", "the champion's lineage")
            comparison["champion_candidate_id"] = lineage["candidate_id"]
            old = spec.evaluate(champion, data, settings, seed)
            comparison["champion"] = old.reported()
            comparison["judging"] = judging(new.judged, old.judged, controls, seed)
        except AuraError as error:
            if error.transient:  # it says nothing of the champion, and must not spare the challenger the comparison
                raise
            comparison["champion_problem"] = error.message
            print(f"warning: the champion cannot be evaluated: {error}", file=sys.stderr)
    return comparison | {"seconds": round(time.monotonic() - began, 1)}


def judging(
    new: JudgedCases, old: JudgedCases | None, controls: Mapping[str, JudgedCases], seed: int
) -> dict[str, Any]:
    """What the gate reads: the challenger on the judging half, and how it differs from the champion and from each control."""

    def beside(other: JudgedCases) -> dict[str, Any]:
        return {name: difference.as_dict() for name, difference in differences(new, other, seed).items()}

    return {
        "unit": new.unit,
        "cases": len(new.cases),
        "sizes": dict(new.sizes),
        "challenger": {name: finite(value) for name, value in new.values.items()},
        "champion": beside(old) if old else None,
        "controls": {name: beside(control) for name, control in controls.items()},
    }


@reporting_errors
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.evaluate", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", choices=MODELS)
    add_settings_options(parser)
    parser.add_argument("--data", type=Path, required=True, help="prepared data")
    parser.add_argument("--challenger", type=Path, required=True, help="artifact directory")
    parser.add_argument("--champion", type=Path, help="artifact directory, if the folder exists")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args(arguments)
    die_with_parent()
    spec = MODELS[options.model]
    settings, common = spec.read_settings(chosen_settings(options))
    champion = options.champion if options.champion and (options.champion / "config.json").is_file() else None
    comparison = compare(
        spec, settings, challenger=options.challenger, champion=champion, data=options.data, seed=common.seed
    )
    write_json(options.out, comparison)
    for role in ("challenger", "champion"):
        if comparison[role]:
            print(f"{role}: " + ", ".join(f"{name}={value:.4g}" for name, value in comparison[role]["metrics"].items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
