"""Settings of the drawn sample data."""

from __future__ import annotations

from pydantic import Field

from aura.settings import Section


class SampleSettings(Section):
    """How much is drawn, and how large. The same settings give the same bytes."""

    seed: int = 7
    products: int = Field(default=2000, ge=48)
    """Articles of the shop that outfits are put together from; with few of them pairs repeat and can be learnt by heart."""
    catalog_items: int = Field(default=500, ge=24)
    """Articles that get a description and go into the catalog; at most `products`."""
    outfits: int = Field(default=1600, ge=2)
    """At least two: a scene may show two figures."""
    outfit_noise: float = Field(default=0.07, ge=0, le=1)
    """Part of the outfits in which one product is swapped for a random one."""
    scenes: int = Field(default=1800, ge=10)
    """Pictures with boxes, product shots included."""
    scene_size_px: int = Field(default=176, ge=96, le=512)
    product_size_px: int = Field(default=192, ge=64, le=512)
    min_box_px: float = Field(default=24.0, ge=1)
    """Smallest side of a box. What would be smaller is taken off again, as no small detector could learn it in minutes;
    tops, bottoms, dresses and shoes stay on, and have their boxes."""
    jpeg_quality: int = Field(default=86, ge=50, le=95)
