"""Averages of a detector's weights with those that its training began with, and what to do with normalisation statistics.

For each share of the challenger: AP50 with the running statistics averaged like the weights, and with statistics estimated again
on the training photos (as Izmailov et al., arXiv 1803.05407, section 3.2, ask for averages along one training).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import torch
from torch.optim.swa_utils import update_bn
from transformers import PreTrainedModel

from aura.artifact import read_json, write_json
from inference.detection.artifact import load_artifact
from inference.detection.detector import Detector
from training.average import average, copy_of
from training.detection.coco import read_split
from training.detection.data import DetectionData
from training.detection.evaluate import average_precision, rank_photos
from training.detection.settings import AugmentSettings
from training.judged import judging_half, reported_half

_BATCHES = 50
"""Of eight training photos, to estimate statistics from."""
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True, kw_only=True)
class AverageRow:
    """AP50 of one share of the challenger: on the validation split, and on the reported half of the test split.

    `estimated` holds both with statistics estimated again; None for the two ends, which are no averages.
    """

    alpha: float
    validation: float
    reported: float
    estimated: tuple[float, float] | None


def kept_rows(path: Path, identity: str, champion_dir: Path, challenger_dir: Path, data: Path) -> list[AverageRow]:
    """`average_rows`, from the file where an earlier run has left those of this identity."""
    kept = read_json(path, "the averages") if path.is_file() else {}
    if kept.get("identity") != identity:
        rows = [asdict(row) for row in average_rows(champion_dir, challenger_dir, data)]
        kept = {"identity": identity, "rows": rows}
        write_json(path, kept)
    return [AverageRow(**row) for row in kept["rows"]]


def average_rows(champion_dir: Path, challenger_dir: Path, data: Path) -> Iterator[AverageRow]:
    """One row per share, from the champion (0) to the challenger (1).

    Args:
        data: prepared data; 400 of its training photos estimate the statistics.
    """
    champion, preprocess, _ = load_artifact(champion_dir)
    network, _, rules = load_artifact(challenger_dir)
    ends = copy_of(champion), copy_of(network)
    validation, labels = read_split(data, "val")
    test, _ = read_split(data, "test")
    shown = reported_half(judging_half([photo.path.name for photo in test]))
    splits = (list(validation), [photo for photo, reported in zip(test, shown, strict=True) if reported])
    training = DetectionData(data, preprocess, AugmentSettings(), batch_size=8, num_workers=0, seed=0, cache=False)

    def ap50(network: PreTrainedModel) -> tuple[float, float]:
        detector = Detector(network, preprocess, rules, "cpu")
        values = [average_precision(rank_photos(detector, photos), photos, labels).ap50 for photos in splits]
        return values[0], values[1]

    def canvases() -> Iterator[torch.Tensor]:
        for batch in islice(training.train_dataloader(), _BATCHES):
            yield preprocess.normalise(batch.canvases)

    for alpha in ALPHAS:
        network.load_state_dict(average(*ends, alpha))
        on_validation, on_reported = ap50(network)
        estimated = None
        if 0 < alpha < 1:
            update_bn(canvases(), network)
            estimated = ap50(network)
        yield AverageRow(alpha=alpha, validation=on_validation, reported=on_reported, estimated=estimated)
