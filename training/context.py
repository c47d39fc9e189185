"""What a training is given and what an evaluation returns, the same for every model."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aura.tracking import Tracker
from training.judged import JudgedCases


@dataclass(frozen=True, kw_only=True)
class TrainContext:
    """Folders and services of one training.

    Attributes:
        data_dir: prepared data (`detection/`, `outfits/`, `chat/`, ... below it).
        out_dir: fresh directory for the artifact: weights, `config.json`, `preprocess.json`, `labels.json`.
        checkpoint_dir: `last.ckpt` lies here when an earlier attempt with the same inputs was cut off.
        plots_dir: PNG and Markdown samples for people to look at.
        saved_dir: outfits that people have saved, which the outfit model learns from as well; None: there are none.
        base_dir: the champion's artifact to fine-tune from; None: from the profile's base.
        seed: seed of initial weights, and of what is drawn in a batch.
        candidate_id: tells this training from those with other inputs; the same when a cut-off attempt is resumed.
    """

    data_dir: Path
    out_dir: Path
    checkpoint_dir: Path
    plots_dir: Path
    base_dir: Path | None
    tracker: Tracker
    seed: int
    candidate_id: str = ""
    saved_dir: Path | None = None

    @property
    def view_seed(self) -> int:
        """Seed of the order of the examples and of their augmentation.

        Not `seed` itself: a training that continues last night's champion would be shown the very views, in the very order, that
        the champion has seen.
        """
        return int(hashlib.sha256(f"{self.seed} {self.candidate_id}".encode()).hexdigest()[:15], 16)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """One artifact on one test split: half of it is reported, the other half judges.

    Attributes:
        metrics: name to value over the reported half.
        slices: for example `{"category": {"shoes": 0.4}}`: the main metric per part of the reported half.
        slice_sizes: test cases per slice.
        n: test cases behind the metrics (images, questions, conversations).
        judged: the artifact on the judging half; the gate reads nothing else.
        controls: what needs no training of this kind, but differs from artifact to artifact (the untrained base), on the judging
            half, by name; the others are `ModelSpec.controls`. A model that is no better than each of them is not worth
            serving.
    """

    metrics: dict[str, float]
    slices: dict[str, dict[str, float]] = field(default_factory=dict)
    slice_sizes: dict[str, dict[str, int]] = field(default_factory=dict)
    n: int
    judged: JudgedCases
    controls: Callable[[], Mapping[str, JudgedCases]] = dict

    def reported(self) -> dict[str, Any]:
        """What is written of the reported half."""
        return {"metrics": self.metrics, "slices": self.slices, "slice_sizes": self.slice_sizes, "n": self.n}
