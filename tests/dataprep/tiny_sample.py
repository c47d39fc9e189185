"""Settings of the smallest shop that has everything: each category, each kind of scene, every split."""

from __future__ import annotations

from dataprep.synthetic.settings import SampleSettings

TINY = SampleSettings(
    products=60, catalog_items=30, outfits=40, scenes=24, scene_size_px=96, product_size_px=64, min_box_px=9
)
