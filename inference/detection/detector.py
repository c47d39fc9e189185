"""A trained detector as the services use it: photos in, garments with boxes out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import PreTrainedModel

from aura.taxonomy import Category
from inference.detection.artifact import LabelRules, load_artifact
from inference.detection.postprocess import Ranking, rank_candidates
from inference.detection.preprocess import Preprocess
from inference.engines.detection import DetectionEngine, OnCanvases, TorchEngine

_BATCH = 16


@dataclass(frozen=True)
class Detection:
    """One garment found: score in 0..1, box in px of the upright photo."""

    category: Category
    score: float
    box_xyxy_px: tuple[float, float, float, float]


class Detector:
    """Network with its pre- and post-processing."""

    def __init__(
        self, model: PreTrainedModel, preprocess: Preprocess, rules: LabelRules, device: str | torch.device = "cpu"
    ) -> None:
        self.network = OnCanvases(model.to(device), preprocess).eval()
        self._torch = TorchEngine(self.network, torch.device(device))
        self.engine: DetectionEngine = self._torch
        self.preprocess = preprocess
        self.rules = rules

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> Detector:
        """Detector from an artifact directory.

        Raises:
            ArtifactError: the directory is incomplete or corrupt.
        """
        model, preprocess, rules = load_artifact(Path(folder))
        return cls(model, preprocess, rules, device)

    def run_by(self, engine: DetectionEngine) -> Detector:
        """The same detector, its network run by another engine."""
        other = copy(self)
        other.engine = engine
        return other

    def run_by_torch(self) -> Detector:
        """The same detector, its network run as it was trained."""
        return self.run_by(self._torch)

    @property
    def canvas_px(self) -> tuple[int, int]:
        """Width and height of the network's input; pixels beyond are not seen."""
        return self.preprocess.width, self.preprocess.height

    def predict(self, images: Sequence[Image.Image], threshold: float | None = None) -> list[list[Detection]]:
        """Garments in each photo, best first; one category per box. A box beside the photo is no garment in it.

        Args:
            images: photos of any size and mode.
            threshold: smallest score to return, in 0..1; None: the threshold that training chose for each category.
        """
        limits = np.array(self.rules.thresholds if threshold is None else [threshold] * len(self.rules.labels))
        found = []
        for ranking in self.rank(images):
            # Best first, so the first candidate of a query carries the query's best label.
            _, best = np.unique(ranking.queries, return_index=True)
            shown = [
                k for k in sorted(best) if ranking.scores[k] >= limits[ranking.labels[k]] and _has_area(ranking, k)
            ]
            found.append([self._detection(ranking, k) for k in shown])
        return found

    def rank(self, images: Sequence[Image.Image]) -> Iterator[Ranking]:
        """Candidates of each photo, in the photos' order."""
        for start in range(0, len(images), _BATCH):
            yield from self._rank_batch(images[start : start + _BATCH])

    @torch.inference_mode()
    def _rank_batch(self, images: Sequence[Image.Image]) -> list[Ranking]:
        placed = [self.preprocess.place(image) for image in images]
        raw = self.engine(np.stack([canvas for canvas, _ in placed]))
        return rank_candidates(
            *raw, [placement for _, placement in placed], self.preprocess,
            n_labels=len(self.rules.labels), nms_iou=self.rules.nms_iou,
        )  # fmt: skip

    def _detection(self, ranking: Ranking, k: int) -> Detection:
        x0, y0, x1, y1 = (round(float(value), 2) for value in ranking.boxes_xyxy_px[k])
        category = self.rules.labels[ranking.labels[k]]
        return Detection(category=category, score=round(float(ranking.scores[k]), 4), box_xyxy_px=(x0, y0, x1, y1))


def _has_area(ranking: Ranking, k: int) -> bool:
    """Whether a box has an area on the photo, to the hundredths of a pixel that are told."""
    x0, y0, x1, y1 = np.round(ranking.boxes_xyxy_px[k], 2)
    return bool(x1 > x0 and y1 > y0)
