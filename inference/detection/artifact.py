"""Files of a detector artifact, written and checked in one place.

model.safetensors, config.json   as transformers saves a model
preprocess.json                  how a photo becomes the input
labels.json                      labels in class order, a score threshold each, and the non-maximum suppression
openvino/                        the network as OpenVINO's graphs, and what their engines found; where training could export it
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from transformers import AutoModelForObjectDetection, PreTrainedModel

from aura.artifact import read_json, write_json
from aura.errors import ArtifactError
from aura.taxonomy import Category
from inference.detection import backbone as _registers_compact_backbone  # noqa: F401
from inference.detection import lite0_backbone as _registers_lite0_backbone  # noqa: F401
from inference.detection.preprocess import Preprocess

_HINT = "train again, or roll back to a version that is complete"


NEVER_SHOWN = 1.0
"""A threshold that no score exceeds."""


@dataclass(frozen=True, kw_only=True)
class LabelRules:
    """What the classes are called and when a box of each is shown.

    Attributes:
        labels: categories in class order.
        thresholds: smallest score that `predict` shows, one per label; `NEVER_SHOWN`: only on request.
        nms_iou: boxes of one label that overlap a better one by more are dropped; None: none are dropped.
    """

    labels: tuple[Category, ...]
    thresholds: tuple[float, ...]
    nms_iou: float | None

    @property
    def not_shown(self) -> tuple[Category, ...]:
        """Categories that the detector has learnt, and of which no threshold was precise enough."""
        pairs = zip(self.labels, self.thresholds, strict=True)
        return tuple(label for label, threshold in pairs if threshold >= NEVER_SHOWN)


def save_artifact(folder: Path, model: PreTrainedModel, preprocess: Preprocess, rules: LabelRules) -> None:
    """Write weights, `config.json`, `preprocess.json` and `labels.json` into an existing directory."""
    model.save_pretrained(folder)
    write_json(folder / "preprocess.json", preprocess.as_json())
    write_json(
        folder / "labels.json",
        {
            "labels": [label.value for label in rules.labels],
            "thresholds": list(rules.thresholds),
            "nms_iou": rules.nms_iou,
        },
    )


def load_artifact(folder: Path) -> tuple[PreTrainedModel, Preprocess, LabelRules]:
    """Read and check an artifact; the model is in evaluation mode on the CPU, in fp32.

    Raises:
        ArtifactError: a file is missing or corrupt, or the files do not belong together.
    """
    read_json(folder / "config.json", "the detector's config")
    preprocess = Preprocess.from_json(read_json(folder / "preprocess.json", "the detector's preprocessing"))
    rules = _read_rules(folder / "labels.json")
    model = load_network(folder)
    named = tuple(str(model.config.id2label[index]) for index in sorted(model.config.id2label))
    if named != tuple(label.value for label in rules.labels):
        raise ArtifactError(
            f"config.json of {folder} names the classes {named}, labels.json {[label.value for label in rules.labels]}",
            hint=_HINT,
        )
    return model.eval(), preprocess, rules


def load_network(folder: Path) -> PreTrainedModel:
    """The network of an artifact with every weight in place.

    Raises:
        ArtifactError: weights are missing, corrupt or of another shape.
    """
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise ArtifactError(f"the detector's weights are missing: {weights}", hint=_HINT)
    try:
        model, report = AutoModelForObjectDetection.from_pretrained(
            folder,
            local_files_only=True,
            output_loading_info=True,
            use_safetensors=True,
            dtype="float32",
            # Reported below together with missing weights, instead of in a log line.
            ignore_mismatched_sizes=True,
        )
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ArtifactError(f"cannot load the detector in {folder}: {error}", hint=_HINT) from error
    wrong = {kind: sorted(map(str, report[kind])) for kind in ("missing_keys", "mismatched_keys") if report[kind]}
    if wrong:
        raise ArtifactError(f"weights in {weights} do not fit config.json: {wrong}", hint=_HINT)
    return model


def _read_rules(path: Path) -> LabelRules:
    values: Any = read_json(path, "the detector's labels")
    try:
        rules = LabelRules(
            labels=tuple(Category(label) for label in values["labels"]),
            thresholds=tuple(float(threshold) for threshold in values["thresholds"]),
            nms_iou=None if values["nms_iou"] is None else float(values["nms_iou"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{path} does not describe labels: {error!r}", hint=_HINT) from error
    if len(rules.labels) != len(rules.thresholds):
        raise ArtifactError(f"{path}: {len(rules.labels)} labels but {len(rules.thresholds)} thresholds", hint=_HINT)
    return rules
