"""Grounds that scenes stand or lie on: rooms, streets, parks, beaches, studio walls, tables, rugs."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from dataprep.synthetic.palette import RGB, darker, lighter, mix

_FINER = 2
_WALLS: tuple[RGB, ...] = (
    (226, 218, 206),
    (206, 214, 216),
    (222, 206, 204),
    (203, 212, 196),
    (196, 190, 208),
    (170, 184, 198),
    (232, 226, 216),
    (150, 158, 150),
    (186, 160, 140),
    (98, 108, 124),
)
_WOODS: tuple[RGB, ...] = ((196, 158, 116), (222, 196, 160), (146, 104, 74), (118, 92, 76), (208, 188, 168))

_Draw = Callable[[ImageDraw.ImageDraw, int, random.Random], None]


def standing_ground(size_px: int, rng: random.Random) -> Image.Image:
    """RGB image in front of which a person stands."""
    return _render(rng.choice(_STANDING), size_px, rng)


def lying_ground(size_px: int, rng: random.Random) -> Image.Image:
    """RGB image on which garments lie, seen from above."""
    return _render(rng.choice(_LYING), size_px, rng)


def room(size_px: int, rng: random.Random) -> Image.Image:
    """RGB image of a wall and a floor."""
    return _render(_room, size_px, rng)


def product_ground(size_px: int, rng: random.Random) -> Image.Image:
    """Light studio ground of a shop's product picture."""
    tint = rng.choice(
        ((246, 245, 243), (240, 241, 243), (247, 241, 236), (240, 243, 238), (245, 239, 242), (238, 238, 236))
    )
    return Image.composite(
        Image.new("RGB", (size_px, size_px), tint), Image.new("RGB", (size_px, size_px)), _lamp(size_px)
    )


@cache
def _lamp(size_px: int) -> Image.Image:
    """Brightness of a ground that is lit from above."""
    y, x = np.mgrid[-1 : 1 : size_px * 1j, -1 : 1 : size_px * 1j]
    return Image.fromarray(np.uint8(255 - 11.5 * np.clip(x**2 + (y + 0.15) ** 2, 0, 2)))


def _render(draw_ground: _Draw, size_px: int, rng: random.Random) -> Image.Image:
    side = size_px * _FINER
    image = Image.new("RGB", (side, side))
    draw_ground(ImageDraw.Draw(image, "RGBA"), side, rng)
    return image.reduce(_FINER)


def _gradient(
    draw: ImageDraw.ImageDraw, side: int, top: RGB, bottom: RGB, start: int = 0, end: int | None = None
) -> None:
    end = side if end is None else end
    for y in range(start, end, 4):
        draw.rectangle((0, y, side, y + 4), fill=mix(top, bottom, (y - start) / max(1, end - start)))


def _studio(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    wall = rng.choice(_WALLS)
    _gradient(draw, side, lighter(wall, 0.25), darker(wall, 0.08))
    y = side * rng.uniform(0.8, 0.9)
    draw.ellipse((-side * 0.3, y, side * 1.3, side * 1.3), fill=(*darker(wall, 0.2), 70))


def _room(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    wall, wood = rng.choice(_WALLS), rng.choice(_WOODS)
    floor = int(side * rng.uniform(0.76, 0.88))
    _gradient(draw, side, lighter(wall, 0.12), wall, 0, floor)
    draw.rectangle((0, floor, side, side), fill=wood)
    for i in range(-6, 14):
        x = side * i / 8
        draw.line((x, floor, x + (x - side / 2) * 0.5, side), fill=darker(wood, 0.18), width=2)
    draw.rectangle((0, floor - side * 0.025, side, floor), fill=lighter(wall, 0.5))
    x = rng.choice((0.05, 0.66)) * side
    if rng.random() < 0.5:
        _window(draw, x, side * 0.1, side * 0.28, side * 0.34)
    else:
        _frame(draw, x, side * 0.14, side * 0.24, side * 0.26, rng)
    if rng.random() < 0.6:
        _plant(draw, rng.choice((0.1, 0.88)) * side, floor + side * 0.05, side * 0.12, rng)


def _window(draw: ImageDraw.ImageDraw, x: float, y: float, w: float, h: float) -> None:
    draw.rectangle((x, y, x + w, y + h), fill=(186, 216, 236), outline=(248, 246, 240), width=7)
    draw.line((x + w / 2, y, x + w / 2, y + h), fill=(248, 246, 240), width=6)
    draw.line((x, y + h * 0.45, x + w, y + h * 0.45), fill=(248, 246, 240), width=6)


def _frame(draw: ImageDraw.ImageDraw, x: float, y: float, w: float, h: float, rng: random.Random) -> None:
    tone = rng.choice(_WALLS)
    draw.rectangle((x, y, x + w, y + h), fill=lighter(tone, 0.4), outline=(92, 74, 60), width=5)
    draw.ellipse((x + w * 0.25, y + h * 0.2, x + w * 0.7, y + h * 0.6), fill=darker(tone, 0.15))
    draw.polygon(((x + 5, y + h - 5), (x + w * 0.5, y + h * 0.5), (x + w - 5, y + h - 5)), fill=darker(tone, 0.35))


def _plant(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, rng: random.Random) -> None:
    for _ in range(9):
        angle, reach = math.radians(rng.uniform(200, 340)), r * rng.uniform(1.0, 2.2)
        tip = (x + math.cos(angle) * reach, y - r + math.sin(angle) * reach)
        bend = (x + math.cos(angle) * reach * 0.5 + r * 0.25, y - r + math.sin(angle) * reach * 0.55)
        draw.polygon(((x, y - r), bend, tip), fill=mix((62, 112, 74), (126, 160, 98), rng.random()))
    draw.polygon(
        ((x - r * 0.5, y - r), (x + r * 0.5, y - r), (x + r * 0.36, y), (x - r * 0.36, y)), fill=(196, 128, 96)
    )


def _street(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    _gradient(draw, side, (176, 204, 228), (226, 226, 220))
    ground = int(side * rng.uniform(0.78, 0.88))
    x = -side * rng.uniform(0, 0.15)
    while x < side:
        width, height = side * rng.uniform(0.18, 0.34), side * rng.uniform(0.35, 0.72)
        wall = mix(rng.choice(_WALLS), (150, 120, 104), rng.uniform(0, 0.6))
        draw.rectangle((x, ground - height, x + width, ground), fill=wall)
        for row in range(int(height / (side * 0.11))):
            for column in range(3):
                wx, wy = x + width * (0.14 + 0.28 * column), ground - height + side * (0.04 + 0.11 * row)
                glass = (238, 214, 150) if rng.random() < 0.2 else mix(darker(wall, 0.45), (130, 160, 186), 0.45)
                draw.rectangle((wx, wy, wx + width * 0.16, wy + side * 0.06), fill=glass)
        x += width
    draw.rectangle((0, ground, side, side), fill=(170, 168, 166))
    draw.line((0, ground, side, ground), fill=(126, 124, 124), width=4)
    for step in range(7):
        x = side * step / 6
        draw.line((x, ground, x + (x - side / 2) * 0.4, side), fill=(150, 148, 146), width=2)


def _park(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    _gradient(draw, side, (168, 206, 234), (232, 238, 226))
    ground = int(side * rng.uniform(0.62, 0.76))
    autumn = rng.random() < 0.35
    for _ in range(6):
        x, r = rng.uniform(0, side), side * rng.uniform(0.09, 0.18)
        y = ground - r * rng.uniform(0.9, 1.7)
        leaf = (
            mix((204, 140, 66), (190, 92, 52), rng.random())
            if autumn
            else mix((92, 142, 86), (142, 174, 100), rng.random())
        )
        draw.rectangle((x - r * 0.12, y, x + r * 0.12, ground + 4), fill=(112, 86, 66))
        for dx, dy, k in ((0, 0, 1), (-0.6, 0.25, 0.7), (0.6, 0.25, 0.7)):
            draw.ellipse((x + (dx - k) * r, y + (dy - k) * r, x + (dx + k) * r, y + (dy + k) * r), fill=leaf)
    _gradient(draw, side, (150, 180, 112), (112, 150, 88), ground)
    draw.polygon(
        ((side * 0.4, ground), (side * 0.56, ground), (side * 0.95, side), (side * 0.1, side)), fill=(214, 200, 172)
    )


def _beach(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    sea, sand = int(side * rng.uniform(0.42, 0.52)), int(side * rng.uniform(0.62, 0.72))
    _gradient(draw, side, (150, 204, 238), (236, 240, 232), 0, sea)
    _gradient(draw, side, (70, 150, 186), (140, 206, 210), sea, sand)
    draw.rectangle((0, sand, side, side), fill=(234, 214, 174))
    for y in range(sand, side, side // 12):
        draw.arc(
            (-side * 0.2, y, side * rng.uniform(0.6, 1.2), y + side * 0.1), 200, 340, fill=(216, 192, 150), width=3
        )
    sun_x, sun_y, r = side * rng.uniform(0.1, 0.9), side * 0.14, side * 0.05
    draw.ellipse((sun_x - r, sun_y - r, sun_x + r, sun_y + r), fill=(250, 232, 160))


def _wood(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    base, planks = rng.choice(_WOODS), rng.randrange(4, 8)
    for i in range(planks):
        tone = mix(base, darker(base, 0.35), rng.uniform(0, 0.35))
        y = side * i / planks
        draw.rectangle((0, y, side, side * (i + 1) / planks), fill=tone)
        for _ in range(7):
            gy, gx = y + rng.random() * side / planks, rng.random() * side
            draw.line((gx, gy, gx + side * rng.uniform(0.1, 0.5), gy), fill=(*darker(tone, 0.4), 70), width=2)
        draw.line((0, y, side, y), fill=darker(base, 0.45), width=3)


def _plain(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    tone = lighter(rng.choice(_WALLS), rng.uniform(0, 0.4))
    _gradient(draw, side, lighter(tone, 0.15), darker(tone, 0.05))


def _marble(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    draw.rectangle((0, 0, side, side), fill=(238, 237, 236))
    for _ in range(7):
        x, y = rng.uniform(-0.2, 1.0) * side, rng.uniform(-0.1, 1.0) * side
        points = [(x, y)]
        for _ in range(8):
            x, y = x + side * rng.uniform(0.03, 0.14), y + side * rng.uniform(-0.03, 0.12)
            points.append((x, y))
        draw.line(points, fill=(168, 166, 172, rng.randrange(60, 150)), width=rng.randrange(1, 6), joint="curve")


def _linen(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    tone = rng.choice(((226, 216, 200), (204, 206, 208), (186, 194, 186), (214, 198, 190)))
    draw.rectangle((0, 0, side, side), fill=tone)
    for i in range(0, side, 5):
        draw.line((i, 0, i, side), fill=(*darker(tone, 0.3), rng.randrange(20, 60)), width=1)
        draw.line((0, i, side, i), fill=(*lighter(tone, 0.5), rng.randrange(20, 70)), width=1)
    for _ in range(3):
        x = rng.random() * side
        draw.line((x, 0, x + side * rng.uniform(-0.3, 0.3), side), fill=(*darker(tone, 0.4), 50), width=9)


def _terrazzo(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    draw.rectangle((0, 0, side, side), fill=(232, 228, 222))
    tones = ((206, 164, 144), (150, 162, 156), (190, 186, 182), (214, 190, 140), (128, 130, 140))
    for _ in range(90):
        x, y, r = rng.random() * side, rng.random() * side, rng.uniform(3, 10)
        corners = [(x + r * math.cos(a) * rng.uniform(0.6, 1.2), y + r * math.sin(a)) for a in (0.2, 1.6, 3.0, 4.4)]
        draw.polygon(corners, fill=rng.choice(tones))


def _rug(draw: ImageDraw.ImageDraw, side: int, rng: random.Random) -> None:
    _wood(draw, side, rng)
    tone = mix(rng.choice(_WALLS), (170, 110, 96), rng.uniform(0, 0.5))
    edge = side * 0.08
    draw.rectangle((edge, edge, side - edge, side - edge), fill=tone, outline=lighter(tone, 0.45), width=8)
    for i in range(3):
        inset = edge + side * (0.05 + 0.04 * i)
        draw.rectangle((inset, inset, side - inset, side - inset), outline=(*darker(tone, 0.3), 120), width=3)


_STANDING: tuple[_Draw, ...] = (_studio, _studio, _room, _room, _street, _park, _beach)
_LYING: tuple[_Draw, ...] = (_wood, _plain, _plain, _marble, _linen, _terrazzo, _rug)
