"""A supersampled drawing surface in body units, built on Pillow.

Colour and coverage are kept apart: shapes write both, folds and highlights write colour only, so translucent details are
cheap and can never leak past the garment's silhouette. The coverage is the mask that boxes are measured from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from dataprep.synthetic.palette import RGB, edge_of
from dataprep.synthetic.patterns import Paint, texture

Point = tuple[float, float]


def spline(points: Sequence[Point], *, closed: bool = False, steps: int = 7) -> list[Point]:
    """Catmull-Rom curve through the points."""
    curve = _spline_matrix(len(points), closed, steps) @ np.array(points)
    return list(map(tuple, curve.tolist()))


@cache
def _spline_matrix(count: int, closed: bool, steps: int) -> np.ndarray:
    """Matrix (curve points, knots) that turns knots into the curve; ends of an open curve are mirrored outwards."""
    eye = np.eye(count)
    if closed:
        padded = np.concatenate([eye[-1:], eye, eye[:2]])
    else:
        padded = np.concatenate([2 * eye[:1] - eye[1:2], eye, 2 * eye[-1:] - eye[-2:-1]])
    windows = np.stack([padded[i : len(padded) - 3 + i] for i in range(4)], axis=1)
    t = np.arange(steps) / steps
    basis = 0.5 * np.stack(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3], axis=1
    )
    curve = np.einsum("sk,nkd->nsd", basis, windows).reshape(-1, count)
    return curve if closed else np.concatenate([curve, eye[-1:]])


def mirrored(right: Sequence[Point]) -> list[Point]:
    """Closed outline from its right half, given from the top to the bottom."""
    return [*right, *((-x, y) for x, y in reversed(right))]


def ellipse(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360) -> list[Point]:
    """Points of an ellipse or of an arc of it; degrees run clockwise from the right."""
    count = max(8, int(abs(end - start) / 12))
    angles = [math.radians(start + (end - start) * i / count) for i in range(count + 1)]
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


def limb(path: Sequence[Point], half_widths: Sequence[float]) -> list[Point]:
    """Outline of a tapered band along a path, for sleeves, legs and straps."""
    left, right = [], []
    for i, (x, y) in enumerate(path):
        before, after = path[max(0, i - 1)], path[min(len(path) - 1, i + 1)]
        dx, dy = after[0] - before[0], after[1] - before[1]
        length = math.hypot(dx, dy) or 1.0
        nx, ny = -dy / length * half_widths[i], dx / length * half_widths[i]
        left.append((x + nx, y + ny))
        right.append((x - nx, y - ny))
    if len(path) > 2:
        left, right = spline(left), spline(right)
    return [*left, *reversed(right)]


@dataclass(frozen=True)
class Layer:
    """RGBA image whose upper left corner lies at (left, top) of the surface, in finished pixels."""

    image: Image.Image
    left: int
    top: int


class Pencil:
    """Draws on one transparent layer; `at` gives a pencil with a local frame on the same layer.

    Args:
        size_px: width and height of the finished layer.
        px_per_unit: finished pixels per body unit.
        origin_px: where the unit origin (top of the head, middle) lies on the finished layer.
        supersample: how many times finer the layer is drawn.
    """

    def __init__(self, size_px: tuple[int, int], px_per_unit: float, origin_px: Point, supersample: int = 3) -> None:
        self._size = (size_px[0] * supersample, size_px[1] * supersample)
        self._supersample = supersample
        self._colour = Image.new("RGB", self._size)
        self._cover = Image.new("L", self._size)
        self._ink = ImageDraw.Draw(self._colour, "RGBA")
        self._mask = ImageDraw.Draw(self._cover)
        self._scale = px_per_unit * supersample
        self._turn = 0.0
        self._xx, self._xy, self._yx, self._yy = self._scale, 0.0, 0.0, self._scale
        self._ox, self._oy = origin_px[0] * supersample, origin_px[1] * supersample

    def at(self, x: float, y: float, *, scale: float = 1, turn_deg: float = 0, flip: bool = False) -> Pencil:
        """A pencil whose origin lies at (x, y); it may be scaled, turned clockwise and mirrored left to right."""
        child = object.__new__(Pencil)
        child.__dict__.update(self.__dict__)
        cos, sin = math.cos(math.radians(turn_deg)) * scale, math.sin(math.radians(turn_deg)) * scale
        side = -1.0 if flip else 1.0
        child._ox, child._oy = self._place(x, y)
        child._xx = self._xx * cos * side + self._xy * sin * side
        child._xy = -self._xx * sin + self._xy * cos
        child._yx = self._yx * cos * side + self._yy * sin * side
        child._yy = -self._yx * sin + self._yy * cos
        child._scale = self._scale * scale
        child._turn = self._turn + turn_deg
        return child

    @property
    def fine(self) -> bool:
        """Whether small details (stitches, knit, buttons' holes) would be visible."""
        return self._scale >= 4.2

    @property
    def empty(self) -> bool:
        """Whether nothing has been drawn inside the layer yet."""
        return self._cover.getbbox() is None

    def shape(self, points: Iterable[Point], paint: Paint | RGB, *, edge: bool = True, turn_deg: float = 0) -> None:
        """Fill a polygon; a patterned paint is turned clockwise with the cloth, for sleeves and legs."""
        placed = self._all(points)
        self._mask.polygon(placed, fill=255)
        base = paint.base if isinstance(paint, Paint) else paint
        if isinstance(paint, Paint) and not paint.plain(self.fine):
            self._fill_texture(placed, paint, turn_deg + self._turn)
        else:
            self._ink.polygon(placed, fill=base)
        if edge:
            self._outline([*placed, placed[0]], edge_of(base), 0.75)

    def stroke(self, points: Iterable[Point], colour: RGB, width: float, *, edge: bool = False) -> None:
        """A line that is part of the garment: straps, chains, laces."""
        placed = self._all(points)
        if edge:
            self._outline(placed, edge_of(colour), width + 1.2, cover=True)
        self._outline(placed, colour, width, cover=True)

    def dot(self, x: float, y: float, radius: float, colour: RGB, *, edge: bool = False) -> None:
        """A filled circle that is part of the garment."""
        self.shape(ellipse(x, y, radius, radius), colour, edge=edge)

    def line(self, points: Iterable[Point], colour: RGB, width: float = 0.7, opacity: float = 1.0) -> None:
        """A seam, fold or stitch: colour only."""
        self._outline(self._all(points), (*colour, round(255 * opacity)), width)

    def glaze(self, points: Iterable[Point], colour: RGB, opacity: float) -> None:
        """A translucent area: shadow or shine, colour only."""
        self._ink.polygon(self._all(points), fill=(*colour, round(255 * opacity)))

    def cut(self, points: Iterable[Point]) -> None:
        """Remove an area from the garment: the hole under a handle, ripped denim."""
        self._mask.polygon(self._all(points), fill=0)

    def layer(self) -> Layer:
        """What was drawn, cut to its bounds, antialiased and shaded from the upper left.

        Raises:
            ValueError: nothing was drawn inside the layer.
        """
        box = self._cover.getbbox()
        if box is None:
            raise ValueError(f"nothing was drawn on the layer of {self._size} px")
        n = self._supersample
        left, top, right, bottom = box[0] // n * n, box[1] // n * n, -(-box[2] // n) * n, -(-box[3] // n) * n
        image = self._colour.crop((left, top, right, bottom))
        image.putalpha(self._cover.crop((left, top, right, bottom)))
        image = image.reduce(n)
        light = _light_map().resize(image.size, Image.Resampling.BILINEAR)
        full = Image.new("L", image.size, 255)
        return Layer(ImageChops.multiply(image, Image.merge("RGBA", (light, light, light, full))), left // n, top // n)

    def _place(self, x: float, y: float) -> Point:
        return self._ox + self._xx * x + self._xy * y, self._oy + self._yx * x + self._yy * y

    def _all(self, points: Iterable[Point]) -> list[Point]:
        ox, oy, xx, xy, yx, yy = self._ox, self._oy, self._xx, self._xy, self._yx, self._yy
        return [(ox + xx * x + xy * y, oy + yx * x + yy * y) for x, y in points]

    def _outline(
        self, placed: Sequence[Point], colour: RGB | tuple[int, int, int, int], width: float, *, cover: bool = False
    ) -> None:
        px = max(1, round(width * self._scale))
        # Round joints are slow; only broad bands show the gaps between their segments.
        joint = "curve" if px > 3 and cover else None
        self._ink.line(placed, fill=colour, width=px, joint=joint)
        if cover:
            self._mask.line(placed, fill=255, width=px, joint=joint)

    def _fill_texture(self, placed: Sequence[Point], paint: Paint, turn_deg: float) -> None:
        xs, ys = [x for x, _ in placed], [y for _, y in placed]
        left, top = math.floor(max(0, min(xs))), math.floor(max(0, min(ys)))
        right, bottom = math.ceil(min(self._size[0], max(xs))), math.ceil(min(self._size[1], max(ys)))
        if right <= left or bottom <= top:
            return
        size = (right - left, bottom - top)
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in placed], fill=255)
        self._colour.paste(texture(paint, size, self._scale, turn_deg), (left, top), mask)


@cache
def _light_map() -> Image.Image:
    """Brightness of cloth that hangs in light from the upper left."""
    y, x = np.mgrid[0:1:48j, 0:1:48j]
    light = 1.0 - 0.13 * x**1.6 - 0.09 * y**2 - 0.05 * (1 - x) ** 6
    return Image.fromarray(np.uint8(np.clip(light, 0, 1) * 255))
