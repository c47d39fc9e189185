"""Detectors as the tests of `inference.detection` have them."""

from tests.inference.detection.conftest import artifact, preprocess, rules

__all__ = ["artifact", "preprocess", "rules"]
