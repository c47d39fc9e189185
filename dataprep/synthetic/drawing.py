"""From a product to pixels: the registry of drawing functions, and a product alone on transparent ground."""

from __future__ import annotations

from functools import cache

from PIL import Image, ImageFilter

from dataprep.synthetic.body import Body
from dataprep.synthetic.garments import adornments, all_body, bags, bottoms, footwear, headwear, outerwear, tops
from dataprep.synthetic.look import Drawer
from dataprep.synthetic.pencil import Layer, Pencil
from dataprep.synthetic.shop import Product

DRAWERS: dict[str, Drawer] = {
    **tops.DRAWERS,
    **bottoms.DRAWERS,
    **outerwear.DRAWERS,
    **all_body.DRAWERS,
    **footwear.DRAWERS,
    **bags.DRAWERS,
    **headwear.DRAWERS,
    **adornments.DRAWERS,
}

FLAT = Body(arms_deg=(27, 27), bends_deg=(5, 5), stance=3.0, flat=True)
_SPAN = (190, 250)
_ORIGIN = (95.0, 30.0)


def draw_product(pencil: Pencil, product: Product, body: Body) -> None:
    """Draw a product where it belongs on the body."""
    DRAWERS[product.garment](pencil, product.look(), body)


@cache
def flat_bounds(product: Product) -> tuple[float, float, float, float]:
    """Left, top, right, bottom of the product lying flat, in body units."""
    pencil = Pencil(_SPAN, 1.0, _ORIGIN, supersample=1)
    draw_product(pencil, product, FLAT)
    layer = pencil.layer()
    left, top = layer.left - _ORIGIN[0], layer.top - _ORIGIN[1]
    return left, top, left + layer.image.width, top + layer.image.height


def flat_layer(product: Product, longest_px: float, supersample: int = 3) -> Layer:
    """The product lying flat, its longer side `longest_px` long."""
    left, top, right, bottom = flat_bounds(product)
    scale = longest_px / max(right - left, bottom - top)
    size = (round((right - left) * scale) + 4, round((bottom - top) * scale) + 4)
    pencil = Pencil(size, scale, (2 - left * scale, 2 - top * scale), supersample)
    draw_product(pencil, product, FLAT)
    return pencil.layer()


def cast_shadow(
    canvas: Image.Image, layer: Image.Image, left: int, top: int, *, shift_px: int, blur_px: float, opacity: float
) -> None:
    """Darken the canvas (RGB) where the layer, placed at (left, top), keeps the light away."""
    margin = int(3 * blur_px) + 1
    shade = Image.new("L", (layer.width + 2 * margin, layer.height + 2 * margin))
    shade.paste(layer.getchannel("A").point([round(value * opacity) for value in range(256)]), (margin, margin))
    shade = shade.filter(ImageFilter.BoxBlur(blur_px))
    canvas.paste((38, 32, 44), (left - margin + shift_px, top - margin + shift_px), shade)
