"""Outerwear: coat, trench, jacket, blazer, parka, all worn open or closed over other garments."""

from __future__ import annotations

from dataprep.synthetic.body import SIDES, Body
from dataprep.synthetic.garments.bodice import sleeves
from dataprep.synthetic.look import STITCH, Drawer, Look
from dataprep.synthetic.palette import RGB, darker, lighter
from dataprep.synthetic.pencil import Pencil, Point, ellipse, limb, spline

_METAL = (206, 208, 214)


def is_open(look: Look) -> bool:
    """Whether the front hangs open, so that what is worn below shows."""
    return look.cut in ("open", "denim", "biker", "relaxed", "single-breasted", "car") or look.jitter[5] > 0.55


def front_panels(
    pencil: Pencil, look: Look, body: Body, *, length: float, hem: float, waist: float, shoulder: float
) -> float:
    """Sleeveless front and, when it lies flat, the lining. Returns half the gap between the panels at the hem."""
    g, gap = body.girth, (6.5 if is_open(look) else -0.6)
    if body.flat and gap > 0:
        pencil.shape([(-9, 42), (9, 42), (13, 60), (12, length - 3), (-12, length - 3), (-13, 60)], look.inside)
    for side in SIDES:
        outer = spline([(shoulder * g, 47), ((shoulder - 1) * g, 60), (waist * g, 82), (hem * g, length)])
        points = [(8, 41), *outer, (gap + 1.5, length + 1), (gap, 74), (max(gap - 3, -0.6), 58)]
        pencil.shape([(side * x, y) for x, y in points], look.paint)
    return gap


def lapels(pencil: Pencil, look: Look, *, depth: float, width: float, colour: RGB) -> None:
    """Notched lapels that run from the neck to `depth`."""
    for side in SIDES:
        lower = [(3.5, 42), (7.5, 41), (width, 54), (width - 2.2, 56), (width + 0.8, 58.5), (1.0, depth)]
        pencil.shape([(side * x, y) for x, y in lower], colour)
        pencil.line([(side * (width - 2.2), 56), (side * 4.2, 50)], look.fold, 0.7, 0.9)


def pockets(pencil: Pencil, look: Look, y: float, x: float = 12.0, width: float = 9.0) -> None:
    for side in SIDES:
        flap: list[Point] = [
            (side * (x - width / 2), y),
            (side * (x + width / 2), y + 0.8),
            (side * (x + width / 2), y + 5),
            (side * (x - width / 2), y + 4.2),
        ]
        pencil.shape(flap, lighter(look.paint.base, 0.08))


def front_buttons(pencil: Pencil, look: Look, ys: list[float], xs: tuple[float, ...], radius: float = 1.7) -> None:
    for y in ys:
        for x in xs:
            pencil.glaze(ellipse(x, y, radius, radius), look.trim, 1)
            pencil.line(ellipse(x, y, radius, radius), look.fold, 0.5, 0.8)


def draw_coat(pencil: Pencil, look: Look, body: Body) -> None:
    """Long wool coat: double-breasted, single-breasted, wrap or collarless."""
    length = 150 + 6 * look.jitter[0]
    sleeves(pencil, look, body, reach=1.0, top=9.6, middle=8.4, end=7.2)
    gap = front_panels(pencil, look, body, length=length, hem=25, waist=19, shoulder=21.5)
    tone = lighter(look.paint.base, 0.1)
    if look.cut == "double-breasted" and gap < 0:
        front_buttons(pencil, look, [80, 92, 104], (-6, 6), 2.0)
    elif look.cut == "wrap":
        band = [(-18.6, 81), (18.6, 81), (19.2, 87.5), (-19.2, 87.5)]
        pencil.shape(band, darker(look.paint.base, 0.12))
        pencil.shape([(2, 86), (6, 86), (9, 108), (4, 109)], darker(look.paint.base, 0.12))
    elif gap < 0:
        front_buttons(pencil, look, [80, 94, 108], (0,), 2.0)
    pencil.line([(0, 74), (0, length)], look.fold, 0.8, 0.0 if gap > 0 else 0.8)
    lapels(pencil, look, depth=76, width=14.5, colour=tone)
    pockets(pencil, look, 104, 14)
    for side in SIDES:
        pencil.line(spline([(side * 17, 90), (side * 18, 115), (side * 17, length - 4)]), look.fold, 0.9, 0.35)


def draw_trench(pencil: Pencil, look: Look, body: Body) -> None:
    """Belted raincoat with epaulettes and a storm flap."""
    length = 146 + 5 * look.jitter[0]
    sleeves(pencil, look, body, reach=1.0, top=9, middle=8, end=7)
    for side in SIDES:
        pencil.shape(
            limb([body.arm(side, 0.84)[-1], body.arm(side, 0.9)[-1]], [7.8, 7.6]), darker(look.paint.base, 0.12)
        )
    front_panels(pencil, look, body, length=length, hem=26.5, waist=16.5, shoulder=20.5)
    front_buttons(pencil, look, [68, 76, 97], (-6.5, 6.5), 1.8)
    for side in SIDES:
        pencil.shape(
            [(side * 10, 44), (side * 20 * body.girth, 48.5), (side * 19.4 * body.girth, 52), (side * 10, 47.5)],
            lighter(look.paint.base, 0.08),
        )
    pencil.shape([(9, 43), (19, 48), (18, 62), (7, 64)], look.paint)
    lapels(pencil, look, depth=68, width=15.5, colour=lighter(look.paint.base, 0.12))
    belt = [(-17.6, 81), (17.6, 81), (18, 87), (-18, 87)]
    pencil.shape(belt, darker(look.paint.base, 0.16))
    pencil.shape([(-3.4, 80), (3.4, 80), (3.4, 88), (-3.4, 88)], look.trim)
    pencil.shape([(-1.6, 82), (1.6, 82), (1.6, 86), (-1.6, 86)], darker(look.paint.base, 0.16), edge=False)
    pencil.shape([(6, 86), (10, 86), (12, 103), (7.5, 104)], darker(look.paint.base, 0.16))
    pockets(pencil, look, 103, 15)


def draw_blazer(pencil: Pencil, look: Look, body: Body) -> None:
    """Tailored jacket with notched lapels and a breast pocket."""
    length = (116 if look.cut == "relaxed" else 111) + 3 * look.jitter[0]
    wide = 2.4 if look.cut == "relaxed" else 0.0
    sleeves(pencil, look, body, reach=1.0, top=8.8 + wide / 2, middle=7.2 + wide / 2, end=6)
    gap = front_panels(pencil, look, body, length=length, hem=20 + wide, waist=16.8 + wide, shoulder=21 + wide)
    lapels(pencil, look, depth=82, width=12.5, colour=lighter(look.paint.base, 0.1))
    if look.cut == "double-breasted":
        front_buttons(pencil, look, [86, 95], (-5.5, 5.5) if gap < 0 else (-9, 9))
    else:
        front_buttons(pencil, look, [86, 94.5], (0,) if gap < 0 else (gap + 2,))
    pencil.shape([(9.5, 64), (16, 62.8), (16, 65), (9.5, 66.2)], lighter(look.paint.base, 0.2))
    pockets(pencil, look, 97, 13.2, 8.6)
    for side in SIDES:
        wx, wy = body.arm(side, 0.95)[-1]
        pencil.glaze(ellipse(wx + side * 3, wy, 1, 1), look.trim, 1)
        pencil.line([(side * 11.5 * body.girth, 72), (side * 10.5 * body.girth, 96)], look.fold, 0.7, 0.5)


def draw_jacket(pencil: Pencil, look: Look, body: Body) -> None:
    """Short jackets: denim, trucker, biker, bomber, quilted, windbreaker."""
    length = 100 + 3 * look.jitter[0]
    puffy = 2.5 if look.cut in ("quilted", "bomber", "windbreaker") else 0.0
    sleeves(pencil, look, body, reach=0.99, top=9 + puffy / 2, middle=7.8 + puffy / 2, end=6.4)
    hem = 18.5 + puffy / 3
    gap = front_panels(pencil, look, body, length=length, hem=hem, waist=18 + puffy, shoulder=20.5 + puffy / 3)
    fronts = {"bomber": _ribbed_front, "windbreaker": _ribbed_front, "biker": _biker_front, "quilted": _quilted_front}
    fronts.get(look.cut, _trucker_front)(pencil, look, body, length, max(gap, 0.0))


def _ribbed_front(pencil: Pencil, look: Look, body: Body, length: float, low: float) -> None:
    g = body.girth
    for side in SIDES:
        rib = [(low + 0.5, length - 6), (19.8 * g, length - 6), (18 * g, length + 1.5), (low + 0.5, length + 1.5)]
        pencil.shape([(side * x, y) for x, y in rib], look.trim)
        pencil.shape(limb([body.arm(side, 0.91)[-1], body.arm(side, 1.0)[-1]], [6.8, 5.8]), look.trim)
        pencil.shape([(side * 2, 45), (side * 5.5, 38.5), (side * 9.5, 41.5), (side * 6, 50)], look.trim)
    pencil.line([(low, 48), (low, length)], _METAL, 1.5)


def _biker_front(pencil: Pencil, look: Look, body: Body, length: float, low: float) -> None:
    lapel = [(1, 66), (3.5, 43), (8, 41), (16, 53), (9, 58)]
    band = [(low, length - 5), (18.4 * body.girth, length - 6), (18.4 * body.girth, length), (low, length)]
    for side in SIDES:
        pencil.shape([(side * x, y) for x, y in lapel], lighter(look.paint.base, 0.12))
        pencil.shape([(side * x, y) for x, y in band], darker(look.paint.base, 0.2))
        pencil.line([(side * 8, 76), (side * 15, 71)], _METAL, 1.3)
    pencil.line([(low + 1, 60), (low + 1.5, length)], _METAL, 1.6)


def _quilted_front(pencil: Pencil, look: Look, body: Body, length: float, low: float) -> None:
    for y in range(52, int(length) - 2, 8):
        for side in SIDES:
            seam = [(side * low, y), (side * 11, y + 2.2), (side * 20.5 * body.girth, y)]
            pencil.line(spline(seam), look.fold, 1.0, 0.65)
    pencil.shape(spline([(-9, 36.5), (0, 39), (9, 36.5), (10, 46), (0, 50), (-10, 46)], closed=True), look.paint)
    pencil.line([(0, 48), (0, length)], _METAL, 1.4)


def _trucker_front(pencil: Pencil, look: Look, body: Body, length: float, low: float) -> None:
    g = body.girth
    stitch = STITCH if look.paint.fabric == "denim" else look.fold
    pocket = [(8, 62), (15.5, 62), (15.5, 66), (11.7, 69), (8, 66)]
    wing = [(0, 51), (5, 40.5), (10, 42), (10.5, 53), (3.5, 54)]
    hem = [(18.6 * g, length - 4.5), (low, length - 4), (low, length + 0.5), (18.6 * g, length)]
    for side in SIDES:
        pencil.line([(side * 6.5, 70), (side * 9, length)], stitch, 0.9)
        pencil.line([(side * 15.5, 70), (side * 13, length)], stitch, 0.9)
        pencil.line([(side * low, 58), (side * 19.5 * g, 60)], stitch, 0.8)
        pencil.shape([(side * x, y) for x, y in pocket], lighter(look.paint.base, 0.14))
        pencil.shape([(side * x, y) for x, y in wing], lighter(look.paint.base, 0.12))
        pencil.shape([(side * x, y) for x, y in hem], look.paint)
    front_buttons(pencil, look, [62, 71, 80, 89], (low + 1.6,), 1.3)


def draw_parka(pencil: Pencil, look: Look, body: Body) -> None:
    """Hooded winter coat, with a fur rim or padded all over."""
    length = (128 if look.cut == "padded" else 124) + 4 * look.jitter[0]
    g = body.girth
    fur = (214, 196, 168) if look.cut != "hooded" else look.trim
    hood = spline([(-16, 50), (-17, 40), (-8, 34.5), (0, 33.6), (8, 34.5), (17, 40), (16, 50), (0, 56)], closed=True)
    if body.flat:
        pencil.shape(hood, look.inside)
    sleeves(pencil, look, body, reach=0.99, top=10.4, middle=9.4, end=7.6)
    gap = front_panels(pencil, look, body, length=length, hem=23, waist=21, shoulder=21.5)
    if look.cut == "padded":
        for y in range(56, int(length) - 3, 9):
            for side in SIDES:
                pencil.line(
                    spline([(side * max(gap, 0), y), (side * 12, y + 2.4), (side * 22.5 * g, y)]), look.fold, 1.1, 0.65
                )
    else:
        pencil.line([(-20 * g, 86), (20 * g, 86)], look.fold, 1.1, 0.8)
        for side in SIDES:
            pencil.shape([(side * 6, 98), (side * 17, 98), (side * 17, 111), (side * 6, 111)], look.paint)
            pencil.shape(
                [(side * 6, 97), (side * 17, 97), (side * 17, 101.5), (side * 6, 101.5)], lighter(look.paint.base, 0.1)
            )
    pencil.line([(max(gap, 0), 56), (max(gap, 0), length)], _METAL, 1.5)
    for i in range(15):
        x = -15.5 + 31 * i / 14
        rim_y = 46 + 8.5 * (1 - (x / 15.5) ** 2) + (1 if i % 2 else 0)
        pencil.shape(ellipse(x, rim_y, 3.7, 3.5), lighter(fur, 0.15) if i % 2 else fur, edge=False)


DRAWERS: dict[str, Drawer] = {
    "coat": draw_coat,
    "trench": draw_trench,
    "blazer": draw_blazer,
    "jacket": draw_jacket,
    "parka": draw_parka,
}
