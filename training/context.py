"""What a training is given and what an evaluation returns, the same for every model."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from aura.tracking import Tracker


@dataclass(frozen=True, kw_only=True)
class TrainContext:
    """Folders and services of one training.

    Attributes:
        data_dir: prepared data (`detection/`, `outfits/`, `chat/`, ... below it).
        out_dir: fresh directory for the artifact: weights, `config.json`, `preprocess.json`, `labels.json`.
        checkpoint_dir: `last.ckpt` lies here when an earlier attempt with the same inputs was cut off.
        plots_dir: PNG and Markdown samples for people to look at.
        base_dir: the champion's artifact to fine-tune from; None: from the profile's base.
        seed: seed of initial weights, order and augmentation.
    """

    data_dir: Path
    out_dir: Path
    checkpoint_dir: Path
    plots_dir: Path
    base_dir: Path | None
    tracker: Tracker
    seed: int


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Metrics of one artifact on one test split.

    Attributes:
        metrics: name to value over the whole split.
        slices: for example `{"category": {"shoes": 0.4}}`: the gate's metric per part of the split.
        slice_sizes: test cases per slice, so that the gate can skip small slices; empty: all are large.
        n: test cases behind the metrics (images, questions, conversations).
    """

    metrics: dict[str, float]
    slices: dict[str, dict[str, float]] = field(default_factory=dict)
    slice_sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    n: int
