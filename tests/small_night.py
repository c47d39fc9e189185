"""Settings of a night that takes minutes: end-to-end tests and `benchmarks/week.py` share them."""

from __future__ import annotations

SMALL = (
    "data.sample.products=72",
    "data.sample.catalog_items=48",
    "data.sample.outfits=90",
    "data.sample.scenes=60",
    "detection.max_epochs=12",
    "detection.learning_rate=1e-3",
    # So little training is hardly ever right, and the services have garments to show.
    "detection.min_precision=0",
    "outfits.max_epochs=2",
    "chat.max_epochs=1",
    "chat.batch_size=32",
    "chat.lora.rank=2",
    "chat.lora.last_layers=2",
    "chat.shown_answers=1",
    "chat.evaluated_questions=24",
    # What so little training is worth does not matter here; the rules themselves have tests of their own.
    "gate.detection.controls=ignored",
    "gate.outfits.controls=ignored",
    "gate.chat.controls=ignored",
    "serving.max_new_tokens=24",
)
"""With `chat.base`, a folder that `save_tiny_base` has made."""
