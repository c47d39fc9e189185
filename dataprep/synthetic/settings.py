"""Settings of the drawn sample data."""

from __future__ import annotations

from pydantic import Field

from aura.settings import Section


class SampleSettings(Section):
    """How much is drawn, and how large. The same settings give the same bytes."""

    seed: int = 7
    """Seed of everything that is drawn."""
    products: int = Field(default=2000, ge=48)
    """Number of articles that outfits are put together from; with few of them pairs repeat and can be learnt by heart."""
    catalog_items: int = Field(default=500, ge=24)
    """Number of articles with a description, which form the catalog; at most `products`."""
    outfits: int = Field(default=1600, ge=2)
    """Number of outfits. At least two: a scene may show two people."""
    outfit_noise: float = Field(default=0.07, ge=0, le=1)
    """Fraction of the outfits in which a product is swapped for a random one."""
    scenes: int = Field(default=1800, ge=10)
    """Number of images with boxes, product shots included."""
    scene_size_px: int = Field(default=176, ge=96, le=512)
    """Height of a scene, and the most that it is wide, in pixels."""
    product_size_px: int = Field(default=192, ge=64, le=512)
    """Side of a square product shot, in pixels."""
    min_box_px: float = Field(default=24.0, ge=1)
    """Shorter side of the smallest box, in pixels. A garment that would have a smaller box is taken off again, because no
    small detector could learn it in minutes; tops, bottoms, dresses and shoes stay on, and have their boxes."""
    jpeg_quality: int = Field(default=86, ge=50, le=95)
    """Quality of stored JPEG files, on libjpeg's scale of 1 to 100."""
