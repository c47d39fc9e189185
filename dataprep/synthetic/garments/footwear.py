"""Shoes and legwear. A shoe is drawn from the side in its own frame and placed at both ankles.

Shoe frame: the ankle's middle lies at (0, -18), the sole at y = 0, the toe points to the right; a shoe is about 27 long.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from dataprep.synthetic.body import SIDES, Body
from dataprep.synthetic.garments.bottoms import two_legs
from dataprep.synthetic.look import Drawer, Look
from dataprep.synthetic.palette import darker, lighter
from dataprep.synthetic.pencil import Pencil, ellipse, limb, spline

_SOLE_Y = 200.0


def pair(
    pencil: Pencil, look: Look, body: Body, draw_single: Callable[[Pencil, Look], None], scale: float = 0.86
) -> None:
    """Both shoes: turned outwards on a person, side by side in a product shot."""
    if body.flat:
        draw_single(pencil.at(-8, _SOLE_Y - 7, scale=scale * 0.97), look)
        draw_single(pencil.at(8, _SOLE_Y, scale=scale), look)
        return
    for side in SIDES:
        x, y = body.ankle(side)
        draw_single(pencil.at(x, y + 12, scale=scale * 1.16, flip=side < 0), look)


def _sneaker(pencil: Pencil, look: Look) -> None:
    high = look.cut == "high-top"
    top = -23 if high else -15
    sole = (245, 244, 240) if look.cut != "running" else lighter(look.trim, 0.2)
    upper = spline(
        [
            (-7.5, -4),
            (-8, -10),
            (-6.6, top),
            (0, top + 0.6),
            (5.5, top + (6 if high else 2.5)),
            (10, -9.5),
            (17, -7.6),
            (19.6, -3),
        ]
    )
    pencil.shape([*upper, (19, -2), (-7.5, -2)], look.paint)
    pencil.shape(
        spline([(11.8, -8.6), (17, -7.4), (20, -3.4), (19.4, -2.4), (12, -2.6)]),
        lighter(look.trim, 0.1) if high else lighter(look.paint.base, 0.2),
    )
    pencil.shape([(-8.6, -4.2), (20.2, -4.2), (21, -1.6), (19.5, 0.4), (-8, 0.4), (-9, -1.6)], sole)
    if look.cut == "running":
        pencil.line(spline([(-4.5, -6), (2, -6.4), (8, -9.6)]), look.trim, 2.0)
        pencil.line([(-8.5, -1.2), (20, -1.2)], look.trim, 1.2)
    else:
        pencil.line([(-8.6, -2), (20.3, -2)], look.trim, 0.9)
    for i in range(4 if high else 3):
        x, y = 2.6 + 2.6 * i * (0.7 if high else 1), top + 3.5 + 2.4 * i + (1.5 if high else 0)
        pencil.line(
            [(x - 2.2, y + 1.6), (x + 2.6, y - 0.6)],
            (250, 250, 250) if look.trim != (250, 250, 250) else look.fold,
            1.1,
        )
    pencil.shape(spline([(-7.9, -9), (-6.8, top + 0.5), (-3.8, top + 0.5), (-4.8, -8.5)]), look.trim)


def _boot(pencil: Pencil, look: Look) -> None:
    knee = look.cut == "knee-high"
    hiking = look.cut == "hiking"
    top = -50 if knee else -29 if look.cut == "ankle" else -32
    shaft = 7.6 if knee else 6.4
    back = spline([(-shaft, top), (-6.6, -22), (-6.4, -12), (-8, -3)])
    front = spline([(18.8, -2.6), (17.4, -6.6), (10, -9.2), (6, -15), (6.2, -26 if knee else -22), (shaft, top)])
    pencil.shape([*back, *front], look.paint)
    heel = 3.4 if look.cut in ("chelsea", "hiking") else 4.6
    sole = (60, 48, 40) if not hiking else (72, 62, 52)
    pencil.shape(
        [(-8.6, -3.2), (19.4, -3.2), (20, -0.4), (4, -0.4), (3, heel - 3.2), (-8.2, heel - 3.2)],
        darker(look.paint.base, 0.5) if not hiking else sole,
    )
    if look.cut == "chelsea":
        pencil.shape([(-2.6, top + 0.5), (3, top + 0.5), (2, -16), (0, -14), (-2, -16)], look.trim)
    elif hiking:
        for i in range(5):
            y = top + 4 + 4 * i
            pencil.line([(1 + i * 0.7, y + 1.2), (6.4 + i * 0.8, y - 0.8)], look.trim, 1.3)
        pencil.shape([(-6.6, top - 1), (6.6, top - 1), (6.6, top + 3), (-6.6, top + 3)], look.trim)
    else:
        pencil.line([(-4.6, top + 6), (-4.2, -14)], look.fold, 0.9, 0.8)
        pencil.line(spline([(-6, -19), (0, -17), (6, -19)]), look.fold, 0.8, 0.5)
    if look.style == "bohemian":
        for x in (-5, -2, 1, 4):
            pencil.line([(x, top + 2), (x + 0.4, top + 10)], look.trim, 1.0)


def _heel(pencil: Pencil, look: Look) -> None:
    block = look.cut == "block"
    back = spline([(-7.6, -13), (-8.2, -18), (-5.5, -20)])
    upper = spline([(-5.5, -20), (-2, -13.5), (5, -9.4), (11, -7.4), (17, -5), (20.4, -1.2)])
    sole = spline([(20.4, -0.4), (11, -1.0), (3, -5), (-2, -9.5)])
    pencil.shape([*back, *upper, *sole, (-5, -11.5)], look.paint)
    stem = (
        [(-8, -13), (-2.6, -10.5), (-3.4, 0.4), (-7.6, 0.4)]
        if block
        else [(-8, -13), (-3.4, -11), (-5.8, 0.4), (-7.4, 0.4)]
    )
    pencil.shape(stem, darker(look.paint.base, 0.18))
    pencil.shape(
        spline([(-5, -19), (-1.5, -13.2), (4.6, -9.2), (4, -8.6), (-2.5, -11), (-6, -16)]), look.inside, edge=False
    )
    if look.cut == "ankle-strap":
        pencil.stroke(spline([(-6.8, -17), (-6.6, -22.5), (-1, -23.4), (4.6, -22.4)]), look.paint.base, 2.0, edge=True)
        pencil.dot(4.4, -22.4, 1.3, look.trim)
    if look.cut == "slingback":
        pencil.glaze([(-3, -11), (4, -9), (6, -5), (-1, -8)], look.trim, 0.9)


def _loafer(pencil: Pencil, look: Look) -> None:
    outline = spline(
        [
            (-7.6, -3),
            (-8.2, -9),
            (-6.6, -13.6),
            (-2, -11),
            (4, -9.4),
            (8.4, -11.6),
            (15, -8.6),
            (19.8, -4.4),
            (19.4, -2),
        ]
    )
    pencil.shape(outline, look.paint)
    pencil.shape(
        spline([(-6.2, -13.2), (-2, -10.8), (4, -9.2), (8, -11.2), (3, -8), (-3, -8.6)]), look.inside, edge=False
    )
    pencil.shape([(-8.2, -2.8), (20, -2.8), (20.2, -0.6), (2, -0.6), (1, 0.6), (-8, 0.6)], darker(look.paint.base, 0.5))
    pencil.line(spline([(8.4, -11), (14, -9), (18.6, -5)]), look.fold, 0.9, 0.8)
    if look.cut == "tassel":
        pencil.line([(9.4, -9.6), (8, -5.6)], look.trim, 1.6)
        pencil.line([(10.4, -9.4), (10.6, -5.2)], look.trim, 1.6)
    elif look.cut == "horsebit":
        pencil.line([(6.4, -8.8), (12, -9.2)], (222, 182, 92), 1.7)
    else:
        pencil.shape([(6, -11), (9.6, -11.2), (10.4, -4), (6.4, -4)], darker(look.paint.base, 0.2))


def _sandal(pencil: Pencil, look: Look) -> None:
    wedge = look.cut in ("espadrille", "platform")
    tall = look.cut == "gladiator"
    bed = (205, 172, 122) if wedge else darker(look.paint.base, 0.3)
    height = 6.0 if wedge else 2.6
    top = -34 if tall else -20
    # The straps are what is left of a closed shoe after windows have been cut into it.
    shaft = spline([(-7.4, -height), (-7.2, -12), (-6.4, top)])
    front = spline([(6, top), (5.6, -15), (10, -10.5), (15.6, -7.4), (18.6, -2.6)])
    pencil.shape([*shaft, *front], look.paint)
    windows = [
        spline([(-5, -11), (1.6, -11.4), (5.2, -height - 1.6), (-5.2, -height - 0.6)], closed=True),
        [(13.4, -7.2), (19.4, -5), (19.4, -height + 1.2), (15.4, -height + 0.6)],
    ]
    rows = (-33, -26.5, -20, -13.5) if tall else (-19, -13.5)
    for upper, lower in pairwise(rows):
        windows.append([(-4.6, upper + 2.6), (4.0, upper + 2.6), (3.6, lower - 0.4), (-4.8, lower - 0.4)])
    for window in windows:
        pencil.cut(window)
        pencil.line([*window, window[0]], look.fold, 1.1)
    pencil.shape([(-8.4, -height - (2 if wedge else 0)), (4, -height), (19.8, -3.2), (20.4, 0.2), (-8, 0.2)], bed)
    for y in (-1.4, -3.2, -5) if wedge else ():
        pencil.line([(-8, y - 0.6), (18 + y, y + 0.4)], darker(bed, 0.4), 0.6)
    pencil.dot(4.0, -17.8, 1.4, look.trim)


def _place(draw_single: Callable[[Pencil, Look], None], scale: float = 0.86) -> Drawer:
    def draw(pencil: Pencil, look: Look, body: Body) -> None:
        pair(pencil, look, body, draw_single, scale)

    return draw


def draw_tights(pencil: Pencil, look: Look, body: Body) -> None:
    """Both legs from hip to toe, opaque or fishnet."""
    g = body.girth
    pencil.shape(two_legs(body, reach=1.0, thigh=9.6, knee=6.6, hem=4.4), look.paint)
    for side in SIDES:
        ax, ay = body.ankle(side)
        pencil.shape(
            [
                (ax - side * 4.3, ay - 4),
                (ax + side * 4, ay - 4),
                (ax + side * 10, ay + 7),
                (ax + side * 8, ay + 10.4),
                (ax - side * 5, ay + 10.4),
            ],
            look.paint,
        )
        path = body.leg(side)
        pencil.glaze(ellipse(path[0][0] + side, 124, 1.7, 20), lighter(look.paint.base, 0.8), 0.2)
        if look.cut == "seamed":
            pencil.line(path, look.fold, 0.9, 0.9)
    pencil.shape([(-14 * g, 83), (14 * g, 83), (14.8 * g, 88), (-14.8 * g, 88)], darker(look.paint.base, 0.25))


def draw_socks(pencil: Pencil, look: Look, body: Body) -> None:
    """Ankle, crew or knee-high socks with a ribbed cuff."""
    reach = {"knee-high": 0.55, "crew": 0.72}.get(look.cut, 0.84)
    for side in SIDES:
        if body.flat:
            _flat_sock(pencil.at(side * 13, 176, turn_deg=-8, scale=1.15), look, reach)
            continue
        top, bottom = body.leg(side, reach), body.leg(side)
        path = [top[-1], ((top[-1][0] + bottom[-1][0]) / 2, (top[-1][1] + bottom[-1][1]) / 2), bottom[-1]]
        pencil.shape(limb(path, [6.6, 5.8, 5.0]), look.paint)
        pencil.shape(limb([path[0], body.leg(side, reach + 0.06)[-1]], [7.0, 6.8]), look.trim)


def _flat_sock(pencil: Pencil, look: Look, reach: float) -> None:
    top = -(1 - reach) * 90 - 8
    pencil.shape(
        spline([(-6, top), (-6, -8), (-6.6, 3), (-2, 8), (12, 9), (17, 5.5), (15, 0), (7, -2.5), (6, -8), (6.4, top)]),
        look.paint,
    )
    pencil.shape([(-6.6, top - 4), (6.8, top - 4), (6.6, top + 3), (-6.4, top + 3)], look.trim)
    pencil.shape(spline([(12.4, -1.2), (17, 2), (16.6, 6.4), (12.6, 9), (11.4, 4)]), look.trim)
    pencil.shape(spline([(-6.6, -2), (-6.8, 3), (-2.6, 8), (-0.4, 3), (-3, -1)]), look.trim)


DRAWERS: dict[str, Drawer] = {
    "sneakers": _place(_sneaker),
    "boots": _place(_boot),
    "heels": _place(_heel),
    "loafers": _place(_loafer),
    "sandals": _place(_sandal),
    "tights": draw_tights,
    "socks": draw_socks,
}
