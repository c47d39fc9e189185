# ruff: noqa: ARG001 (every pattern has the same signature)

"""Cloth: the pattern (stripes, checks, flowers, ...) and the weave (denim, knit, cord, ...) of a fabric, as pixels.

Sizes are in body units, so that a shirt has the same number of stripes in every picture of it.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

from PIL import Image, ImageDraw

from dataprep.synthetic.palette import RGB, darker, lch, lighter, mix

_WEAVE_OF_FABRIC = {
    "denim": "denim",
    "chambray": "denim",
    "wool": "knit",
    "merino": "knit",
    "cashmere": "knit",
    "mohair": "knit",
    "corduroy": "cord",
    "tweed": "speckle",
    "flannel": "speckle",
    "linen": "slub",
    "straw": "basket",
    "raffia": "basket",
    "satin": "sheen",
    "silk": "sheen",
    "velvet": "sheen",
    "sequin": "sparkle",
    "lace": "lace",
    "ribbed cotton": "rib",
    "leather": "sheen",
    "patent leather": "sheen",
}


@dataclass(frozen=True)
class Paint:
    """Cloth of a garment: ground colour, pattern colour, pattern and fabric; `seed` places scattered motifs."""

    base: RGB
    second: RGB
    pattern: str = "solid"
    fabric: str = "cotton"
    seed: int = 0

    @property
    def weave(self) -> str:
        return _WEAVE_OF_FABRIC.get(self.fabric, "")

    def plain(self, fine: bool) -> bool:
        """Whether one flat colour shows all there is to see; weaves vanish when not `fine`."""
        return self.pattern == "solid" and not (self.weave and fine)


def texture(paint: Paint, size_px: tuple[int, int], px_per_unit: float, turn_deg: float = 0) -> Image.Image:
    """RGB image of the cloth, turned clockwise by `turn_deg`."""
    width, height = size_px
    if abs(turn_deg) > 2 and paint.pattern not in _SCATTERED:
        reach = math.ceil(math.hypot(width, height))
        flat = texture(paint, (reach, reach), px_per_unit).rotate(-turn_deg, Image.Resampling.NEAREST)
        left, top = (reach - width) // 2, (reach - height) // 2
        return flat.crop((left, top, left + width, top + height))
    image = Image.new("RGB", size_px, paint.base)
    draw = ImageDraw.Draw(image, "RGBA")
    _PATTERNS[paint.pattern](draw, width, height, px_per_unit, paint)
    if paint.weave and px_per_unit >= 4.2:
        _WEAVES[paint.weave](draw, width, height, px_per_unit, paint)
    return image


def _bands(length: float, period: float, start: float = 0.0) -> list[float]:
    return [start + i * period for i in range(-1, int(length / period) + 2)]


def _solid(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    """One colour: nothing to add to the ground."""


def _striped(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    period = (5.6, 7.5, 9.5)[paint.seed % 3] * u
    for y in _bands(h, period, 2 * u):
        draw.rectangle((0, y, w, y + period * 0.42), fill=paint.second)


def _pinstriped(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    line = max(1, round(0.55 * u))
    for x in _bands(w, 3.6 * u, w / 2 % (3.6 * u)):
        draw.line((x, 0, x, h), fill=(*mix(paint.base, paint.second, 0.75), 255), width=line)


def _checked(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    period, band = 11 * u, 4.4 * u
    veil = (*paint.second, 120)
    thin = (*lighter(paint.base, 0.55), 170) if lch(paint.base)[0] < 62 else (*darker(paint.base, 0.5), 130)
    line = max(1, round(0.6 * u))
    for x in _bands(w, period, w / 2 % period - band / 2):
        draw.rectangle((x, 0, x + band, h), fill=veil)
        draw.line((x + period * 0.7, 0, x + period * 0.7, h), fill=thin, width=line)
    for y in _bands(h, period):
        draw.rectangle((0, y, w, y + band), fill=veil)
        draw.line((0, y + period * 0.7, w, y + period * 0.7), fill=thin, width=line)


def _gingham(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    period = 5.2 * u
    veil = (*paint.second, 118)
    for x in _bands(w, period):
        draw.rectangle((x, 0, x + period / 2, h), fill=veil)
    for y in _bands(h, period):
        draw.rectangle((0, y, w, y + period / 2), fill=veil)


def _dotted(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    period, radius = ((6.4, 1.55), (8.6, 2.4))[paint.seed % 2]
    period, radius = period * u, radius * u
    for row, y in enumerate(_bands(h, period * 0.8)):
        for x in _bands(w, period, period / 2 * (row % 2)):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=paint.second)


def _floral(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    rng = random.Random(paint.seed)
    leaf = (96, 132, 84) if lch(paint.base)[0] > 45 else (148, 180, 128)
    heart = (244, 203, 92) if lch(paint.second)[0] < 85 else (232, 150, 70)
    period = 9.5 * u
    for row, y0 in enumerate(_bands(h, period * 0.85)):
        for x0 in _bands(w, period, period / 2 * (row % 2)):
            x, y = x0 + rng.uniform(-1.4, 1.4) * u, y0 + rng.uniform(-1.4, 1.4) * u
            size, turn = rng.uniform(1.15, 1.75) * u, rng.uniform(0, 72)
            for side in (-1, 1):
                lx, ly = x + side * 2.3 * size, y + 1.5 * size
                draw.ellipse((lx - size, ly - size * 0.5, lx + size, ly + size * 0.5), fill=leaf)
            for petal in range(5):
                angle = math.radians(turn + 72 * petal)
                px, py = x + math.cos(angle) * size * 1.15, y + math.sin(angle) * size * 1.15
                draw.ellipse((px - size, py - size, px + size, py + size), fill=paint.second)
            draw.ellipse((x - size * 0.6, y - size * 0.6, x + size * 0.6, y + size * 0.6), fill=heart)


def _leopard(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    rng = random.Random(paint.seed)
    dark, core = (52, 36, 28), darker(paint.base, 0.32)
    period = 6.2 * u
    for row, y0 in enumerate(_bands(h, period * 0.8)):
        for x0 in _bands(w, period, period / 2 * (row % 2)):
            x, y = x0 + rng.uniform(-1, 1) * u, y0 + rng.uniform(-1, 1) * u
            r = rng.uniform(1.5, 2.1) * u
            start = rng.randrange(360)
            draw.ellipse((x - r, y - r * 0.8, x + r, y + r * 0.8), fill=core)
            for gap in (0, 150):
                draw.arc(
                    (x - r, y - r, x + r, y + r), start + gap, start + gap + 105, fill=dark, width=max(1, round(u))
                )


def _zigzag(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    step, rise, period = 3.4 * u, 3.2 * u, 9.0 * u
    xs = _bands(w, step, -step)
    third = mix(paint.base, paint.second, 0.5)
    for y in _bands(h, period):
        for shift, fill, width in ((0.0, paint.second, 2.0), (3.6, third, 1.0)):
            points = [(x, y + shift * u + (rise if i % 2 else 0)) for i, x in enumerate(xs)]
            draw.line(points, fill=fill, width=max(1, round(width * u)))


def _colour_block(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    draw.rectangle((0, h * 0.52, w, h), fill=paint.second)
    draw.rectangle((0, h * 0.46, w, h * 0.52), fill=lighter(mix(paint.base, paint.second, 0.5), 0.7))


def _herringbone(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    column, period = 3.0 * u, 1.9 * u
    veil = (*mix(paint.base, paint.second, 0.6), 200)
    xs = _bands(w, column)
    for y in _bands(h, period):
        draw.line(
            [(x, y + (column * 0.7 if i % 2 else 0)) for i, x in enumerate(xs)], fill=veil, width=max(1, round(0.5 * u))
        )


def _denim(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    light, period = (*lighter(paint.base, 0.6), 46), 1.25 * u
    for x in _bands(w + h, period):
        draw.line((x, 0, x - h, h), fill=light, width=max(1, round(0.3 * u)))


def _knit(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    dark, column, row = (*darker(paint.base, 0.6), 52), 2.3 * u, 1.5 * u
    line = max(1, round(0.35 * u))
    xs = _bands(w, column / 2)
    for y in _bands(h, row):
        draw.line([(x, y + (row * 0.7 if i % 2 else 0)) for i, x in enumerate(xs)], fill=dark, width=line)


def _lines(period: float, opacity: int) -> _Layer:
    def draw_lines(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
        dark = (*darker(paint.base, 0.7), opacity)
        for x in _bands(w, period * u):
            draw.line((x, 0, x, h), fill=dark, width=max(1, round(0.4 * u)))

    return draw_lines


def _speckle(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    rng = random.Random(paint.seed)
    tones = [(*lighter(paint.base, 0.5), 110), (*darker(paint.base, 0.5), 90), (*paint.second, 110)]
    for _ in range(int(w * h / (u * u) / 5)):
        x, y = rng.random() * w, rng.random() * h
        draw.line((x, y, x + 0.9 * u, y + 0.5 * u), fill=tones[rng.randrange(3)], width=max(1, round(0.3 * u)))


def _slub(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    rng = random.Random(paint.seed)
    dark = (*darker(paint.base, 0.5), 40)
    for _ in range(int(w * h / (u * u) / 18)):
        x, y, length = rng.random() * w, rng.random() * h, rng.uniform(2, 6) * u
        across = rng.random() < 0.5
        end = (x + length, y) if across else (x, y + length)
        draw.line((x, y, *end), fill=dark, width=max(1, round(0.3 * u)))


def _basket(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    dark, period = (*darker(paint.base, 0.55), 105), 2.2 * u
    line = max(1, round(0.45 * u))
    for row, y in enumerate(_bands(h, period)):
        draw.line((0, y, w, y), fill=dark, width=line)
        for x in _bands(w, period * 1.4, period * 0.7 * (row % 2)):
            draw.line((x, y, x, y + period), fill=dark, width=line)


def _sheen(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    light = lighter(paint.base, 0.85)
    for centre in (0.3, 0.72):
        for spread in (5.0, 3.2, 1.5):
            x = centre * w
            draw.polygon(
                ((x - spread * u, 0), (x + spread * u, 0), (x + (spread - 3) * u, h), (x - (spread + 3) * u, h)),
                fill=(*light, 24),
            )


def _sparkle(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    rng = random.Random(paint.seed)
    tones = [(*lighter(paint.base, 0.75), 190), (*darker(paint.base, 0.4), 130)]
    for y in _bands(h, 1.6 * u):
        for x in _bands(w, 1.6 * u, rng.uniform(0, 0.8) * u):
            if rng.random() < 0.55:
                draw.ellipse((x, y, x + 1.1 * u, y + 1.1 * u), fill=tones[rng.randrange(2)])


def _lace(draw: ImageDraw.ImageDraw, w: int, h: int, u: float, paint: Paint) -> None:
    dark, period = (*darker(paint.base, 0.5), 120), 4.0 * u
    for row, y in enumerate(_bands(h, period * 0.8)):
        for x in _bands(w, period, period / 2 * (row % 2)):
            for reach in (1.5, 0.6):
                draw.ellipse((x - reach * u, y - reach * u, x + reach * u, y + reach * u), outline=dark)


_Layer = Callable[[ImageDraw.ImageDraw, int, int, float, Paint], None]

_SCATTERED = frozenset({"solid", "dotted", "floral", "leopard"})

_PATTERNS: dict[str, _Layer] = {
    "solid": _solid,
    "striped": _striped,
    "pinstriped": _pinstriped,
    "checked": _checked,
    "gingham": _gingham,
    "dotted": _dotted,
    "floral": _floral,
    "leopard": _leopard,
    "zigzag": _zigzag,
    "colour-block": _colour_block,
    "herringbone": _herringbone,
}

_WEAVES: dict[str, _Layer] = {
    "denim": _denim,
    "knit": _knit,
    "cord": _lines(1.7, 70),
    "rib": _lines(2.2, 55),
    "speckle": _speckle,
    "slub": _slub,
    "basket": _basket,
    "sheen": _sheen,
    "sparkle": _sparkle,
    "lace": _lace,
}

PATTERN_NAMES: tuple[str, ...] = tuple(_PATTERNS)
