"""The table of the models, by name and in the order in which they are trained."""

from __future__ import annotations

from training.chat.spec import SPEC as CHAT
from training.detection.spec import SPEC as DETECTION
from training.outfits.spec import SPEC as OUTFITS
from training.spec import ModelSpec

MODELS: dict[str, ModelSpec] = {spec.name: spec for spec in (DETECTION, OUTFITS, CHAT)}
