# ruff: noqa: ARG001 (every drawing function has the same signature)

"""Scarves, jewellery and accessories: scarf, bandana, necklace, earrings, bracelet, belt, watch, gloves, tie."""

from __future__ import annotations

import math

from dataprep.synthetic.body import SIDES, Body
from dataprep.synthetic.look import Drawer, Look
from dataprep.synthetic.palette import darker, lighter
from dataprep.synthetic.pencil import Pencil, ellipse, limb, spline

_BRASS = (222, 182, 92)


def draw_scarf(pencil: Pencil, look: Look, body: Body) -> None:
    """Wound round the neck with one or two fringed ends; `loop` has none."""
    back = spline([(-12, 38), (0, 34.5), (12, 38), (12.5, 46), (-12.5, 46)], closed=True)
    if body.flat:
        pencil.shape(back, look.inside)
    ends = [] if look.cut == "loop" else [1] if look.cut == "draped" else [1, -1]
    for side in ends:
        foot = 96 + 6 * look.jitter[0] if side > 0 else 84
        x = side * 7.5
        pencil.shape([(x - 5.4, 48), (x + 5.4, 48), (x + 6.4, foot), (x - 6, foot + 1)], look.paint, turn_deg=-3 * side)
        for i in range(6):
            fx = x - 5 + i * 2.1
            pencil.stroke([(fx, foot), (fx + 0.2, foot + 6)], look.trim, 0.9)
        pencil.line([(x - side * 1.5, 56), (x - side, foot - 2)], look.fold, 0.9, 0.45)
    pencil.shape(
        spline([(-13.4, 42), (-6, 46.4), (6, 46.4), (13.4, 42), (14, 51), (6, 59), (-6, 59), (-14, 51)], closed=True),
        look.paint,
    )
    pencil.shape(
        spline([(-11.6, 37.4), (0, 42.6), (11.6, 37.4), (14, 44), (7, 50.6), (-7, 50.6), (-14, 44)], closed=True),
        look.paint,
    )
    pencil.line(spline([(-11, 47), (0, 52), (10, 48)]), look.fold, 1.0, 0.5)
    pencil.line(spline([(-8, 42), (0, 45.4), (9, 42)]), look.fold, 0.9, 0.4)


def draw_bandana(pencil: Pencil, look: Look, body: Body) -> None:
    """Square silk or cotton, folded to a triangle and knotted."""
    for side in SIDES:
        pencil.shape(
            spline([(side * 10, 39), (side * 17, 36.5), (side * 15.4, 42), (side * 10.4, 42)], closed=True), look.paint
        )
    pencil.shape(
        [
            *spline([(-12.6, 38.5), (0, 43.4), (12.6, 38.5)]),
            (13.4, 43.6),
            *spline([(9, 53), (1.5, 66)]),
            (-1.5, 66),
            *spline([(-9, 53), (-13.4, 43.6)]),
        ],
        look.paint,
    )
    pencil.line([(-11.2, 45), (0, 63.4), (11.2, 45)], look.trim, 1.3)
    pencil.line(spline([(-8, 43), (-3, 48), (2, 46)]), look.fold, 0.9, 0.5)


def draw_necklace(pencil: Pencil, look: Look, body: Body) -> None:
    """Pendant, pearls, wooden beads or layered chains."""
    metal = look.paint.base
    arc = [
        (math.cos(math.radians(a)) * 10.5, 43 + math.sin(math.radians(a)) * 17)
        for a in range(-8 if not body.flat else -100, 189 if not body.flat else 281, 12)
    ]
    if look.cut in ("pearl", "beaded"):
        size = 2.0 if look.cut == "pearl" else 2.7
        for i, (x, y) in enumerate(arc):
            colour = metal if look.cut == "pearl" or i % 2 else look.trim
            pencil.shape(ellipse(x, y, size, size), colour)
            pencil.glaze(ellipse(x - 0.6, y - 0.6, 0.7, 0.7), (255, 255, 255), 0.7)
        return
    pencil.stroke(arc, metal, 1.5, edge=True)
    if look.cut == "layered":
        longer = [(x * 1.1, y if y < 43 else 43 + (y - 43) * 1.6) for x, y in arc]
        pencil.stroke(longer, metal, 1.4, edge=True)
        pencil.shape([(0, 68), (3, 73), (0, 78), (-3, 73)], look.trim)
    else:
        pencil.shape(ellipse(0, 63, 4.2, 4.6), look.trim)
        pencil.line(ellipse(0, 63, 4.2, 4.6), metal, 1.2)


def draw_earrings(pencil: Pencil, look: Look, body: Body) -> None:
    """A pair of hoops, drops or tassels."""
    for side in SIDES:
        p = pencil.at(side * (9 if body.flat else 13.6), 26, scale=1.15)
        p.dot(0, 0, 1.2, look.paint.base, edge=True)
        if look.cut == "hoop":
            p.stroke([*ellipse(0, 6, 4.6, 5), (4.2, 7.6)], look.paint.base, 1.2, edge=True)
        elif look.cut == "drop":
            p.shape(spline([(0, 2), (2.9, 8), (0, 11.6), (-2.9, 8)], closed=True), look.trim)
            p.glaze(ellipse(-0.8, 7.6, 0.7, 1.2), (255, 255, 255), 0.7)
        else:
            p.shape([(-1.8, 2.4), (1.8, 2.4), (3.6, 12.4), (-3.6, 12.4)], look.trim)
            for x in (-1.4, 0, 1.4):
                p.line([(x * 0.6, 4), (x * 1.7, 12)], darker(look.trim, 0.4), 0.6)


def draw_bracelet(pencil: Pencil, look: Look, body: Body) -> None:
    """Bangle, chain or beads."""
    p = pencil.at(0, 90, scale=1.3) if body.flat else pencil.at(*body.wrist(-1), scale=0.55)
    if look.cut == "bangle":
        p.stroke([*ellipse(0, 0, 11, 8.4), (10.6, 2)], look.paint.base, 2.8, edge=True)
        p.line(spline([(-9.6, -4), (-3, -8), (5, -7.4)]), lighter(look.paint.base, 0.8), 0.9, 0.9)
        return
    for i in range(18):
        angle = math.radians(i * 20)
        x, y = 11 * math.cos(angle), 8.4 * math.sin(angle)
        size = 2.2 if look.cut == "beaded" else 1.7
        p.shape(ellipse(x, y, size, size), look.trim if look.cut == "beaded" and i % 3 else look.paint.base)


def draw_belt(pencil: Pencil, look: Look, body: Body) -> None:
    """Leather or woven band with a buckle: round the waist, or coiled on a table."""
    buckle = _BRASS if look.jitter[1] > -0.3 else (190, 194, 202)
    if body.flat:
        pencil.stroke(
            spline([(24, 82), (2, 66), (-22, 74), (-24, 92), (0, 101), (22, 95), (27, 84)]),
            look.paint.base,
            6.4,
            edge=True,
        )
        pencil.line(spline([(22, 82.6), (2, 68), (-20.5, 75), (-22, 91), (0, 99), (20.5, 94)]), look.fold, 0.8, 0.7)
        p = pencil.at(24, 83, scale=1.15)
    else:
        g = body.girth
        pencil.shape(
            spline([(-15.4 * g, 81), (0, 83), (15.4 * g, 81), (15.8 * g, 88), (0, 90.4), (-15.8 * g, 88)], closed=True),
            look.paint,
        )
        p = pencil.at(0, 86.4, scale=1.0)
    p.shape([(-5, -4.8), (5, -4.8), (5, 4.8), (-5, 4.8)], buckle)
    p.shape([(-2.7, -2.6), (2.7, -2.6), (2.7, 2.6), (-2.7, 2.6)], look.paint.base)
    p.line([(-0.5, 0), (5, 0)], buckle, 1.3)


def draw_watch(pencil: Pencil, look: Look, body: Body) -> None:
    """Round or square dial on a strap."""
    p = (
        pencil.at(0, 90, scale=1.5)
        if body.flat
        else pencil.at(*body.wrist(-1), scale=0.62, turn_deg=-body.arm_turn_deg(1))
    )
    case = _BRASS if look.jitter[1] > 0 else (196, 200, 208)
    p.shape([(-4.6, -22), (4.6, -22), (5.2, 0), (4.6, 22), (-4.6, 22), (-5.2, 0)], look.paint)
    for y in (12, 15, 18):
        p.line([(-0.8, y), (0.8, y)], look.fold, 1.0)
    if look.cut == "round":
        p.shape(ellipse(0, 0, 8.4, 8.4), case)
        p.shape(ellipse(0, 0, 6.3, 6.3), look.trim, edge=False)
    else:
        p.shape([(-7.4, -8.4), (7.4, -8.4), (7.4, 8.4), (-7.4, 8.4)], case)
        p.shape([(-5.3, -6.2), (5.3, -6.2), (5.3, 6.2), (-5.3, 6.2)], look.trim, edge=False)
    p.dot(9.2, 0, 1.3, case)
    p.line([(0, -4.4), (0, 0), (3.2, 1.6)], (40, 40, 46) if sum(look.trim) > 380 else (240, 240, 240), 0.9)


def draw_gloves(pencil: Pencil, look: Look, body: Body) -> None:
    """A pair: on the hands, or beside each other."""
    for side in SIDES:
        if body.flat:
            p = pencil.at(side * 13, 104, scale=1.25, flip=side < 0, turn_deg=side * 6)
        else:
            x, y = body.wrist(side)
            p = pencil.at(x, y + 1, scale=0.62, flip=side < 0, turn_deg=180 + body.arm_turn_deg(side))
        p.shape(limb([(-3, 0), (-7, -6), (-10, -14)], [3.4, 2.6, 1.9]), look.paint)
        for x, top in ((-4.2, -24), (-1.4, -26.5), (1.6, -26), (4.6, -22.5)):
            p.shape([*ellipse(x, top, 1.7, 2, 180, 360), (x + 1.7, -11), (x - 1.7, -11)], look.paint)
        p.shape(
            spline([(-6, -12.6), (6.2, -12.6), (6.6, -3), (5.2, 4), (-5, 4), (-6.6, -3)], closed=True),
            look.paint,
            edge=False,
        )
        p.line([(-6.2, -10), (-6.6, -3), (-5, 4)], look.fold, 0.7, 0.7)
        p.line([(6.3, -12), (6.6, -3), (5.2, 4)], look.fold, 0.7, 0.7)
        p.shape([(-5.8, 3), (5.8, 3), (6.4, 9.6), (-6.4, 9.6)], look.trim)


def draw_tie(pencil: Pencil, look: Look, body: Body) -> None:
    """Long tie, or a bow tie."""
    if look.cut == "bow":
        for side in SIDES:
            pencil.shape(
                spline([(side * 1.4, 46), (side * 10, 41.4), (side * 10.6, 51.4), (side * 1.4, 48)], closed=True),
                look.paint,
            )
        pencil.shape([(-2.2, 44.4), (2.2, 44.4), (2.2, 49.4), (-2.2, 49.4)], darker(look.paint.base, 0.15))
        return
    if body.flat:
        pencil.stroke(spline([(-4, 45), (-9, 36), (0, 30), (9, 36), (4, 45)]), look.paint.base, 2.6, edge=True)
    pencil.shape([(-2.4, 49), (2.4, 49), (5.4, 84), (0, 92), (-5.4, 84)], look.paint, turn_deg=35)
    pencil.shape([(-4, 42.6), (4, 42.6), (2.6, 50), (-2.6, 50)], lighter(look.paint.base, 0.08))


DRAWERS: dict[str, Drawer] = {
    "scarf": draw_scarf,
    "bandana": draw_bandana,
    "necklace": draw_necklace,
    "earrings": draw_earrings,
    "bracelet": draw_bracelet,
    "belt": draw_belt,
    "watch": draw_watch,
    "gloves": draw_gloves,
    "tie": draw_tie,
}
