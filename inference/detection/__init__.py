"""Garment detector: network, pre- and post-processing, artifact."""

from inference.detection.artifact import LabelRules, load_artifact, save_artifact
from inference.detection.detector import Detection, Detector
from inference.detection.postprocess import Ranking, rank_candidates
from inference.detection.preprocess import Placement, Preprocess

__all__ = [
    "Detection", "Detector", "LabelRules", "Placement", "Preprocess", "Ranking", "load_artifact", "rank_candidates",
    "save_artifact",
]  # fmt: skip
