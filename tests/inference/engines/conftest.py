"""Detectors as the tests of `inference.detection` have them."""

from tests.inference.detection.conftest import any_artifact, artifact, preprocess, rules

__all__ = ["any_artifact", "artifact", "preprocess", "rules"]
