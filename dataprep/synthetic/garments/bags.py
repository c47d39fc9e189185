"""Bags: tote, backpack, clutch, satchel, crossbody.

A bag's frame has its origin where a hand holds it; the bag hangs below.
"""

from __future__ import annotations

from collections.abc import Callable

from dataprep.synthetic.body import SIDES, Body
from dataprep.synthetic.look import Drawer, Look
from dataprep.synthetic.palette import darker, lighter
from dataprep.synthetic.pencil import Pencil, ellipse, spline

_BRASS = (222, 182, 92)


def carried(draw_single: Callable[[Pencil, Look], None], scale: float) -> Drawer:
    """Place a bag in the right hand, or alone on a table."""

    def draw(pencil: Pencil, look: Look, body: Body) -> None:
        x, y = (0.0, 100.0) if body.flat else body.hand(1)
        draw_single(pencil.at(x, y, scale=scale * (1 + 0.06 * look.jitter[0])), look)

    return draw


def _tote(pencil: Pencil, look: Look) -> None:
    wide = 1.12 if look.cut == "shopper" else 1.0
    for shift in (0.0, 2.2):
        pencil.stroke(
            spline([(-8, 22 + shift), (-7, 6), (0, -2 + shift), (7, 6), (8, 22 + shift)]),
            darker(look.trim, 0.1 * shift),
            2.3,
            edge=True,
        )
    pencil.shape(
        [(-15 * wide, 20), (15 * wide, 20), (17 * wide, 52), (15.5 * wide, 55), (-15.5 * wide, 55), (-17 * wide, 52)],
        look.paint,
    )
    pencil.shape([(-15.1 * wide, 20), (15.1 * wide, 20), (15.4 * wide, 24.5), (-15.4 * wide, 24.5)], look.trim)
    for side in SIDES:
        pencil.shape([(side * 6, 21), (side * 10, 21), (side * 10, 31), (side * 6, 31)], look.trim)
    if look.cut == "bucket":
        pencil.line(spline([(-16, 30), (0, 33), (16, 30)]), look.trim, 1.8)
    if look.style == "bohemian":
        for x in range(-14, 15, 4):
            pencil.stroke([(x, 54), (x, 61)], look.trim, 1.2)


def _backpack(pencil: Pencil, look: Look) -> None:
    pencil.stroke(spline([(-4, 8), (-3.4, 0), (3.4, 0), (4, 8)]), look.trim, 2.2, edge=True)
    for side in SIDES:
        pencil.stroke(
            spline([(side * 10, 10), (side * 18.5, 24), (side * 18, 42), (side * 13, 50)]), look.trim, 3.0, edge=True
        )
    pencil.shape(
        spline(
            [(-14.5, 20), (-11, 8), (0, 5), (11, 8), (14.5, 20), (15.6, 46), (13, 52.5), (-13, 52.5), (-15.6, 46)],
            closed=True,
        ),
        look.paint,
    )
    pencil.shape(
        spline([(-10.5, 33), (10.5, 33), (11.6, 47), (9, 50.5), (-9, 50.5), (-11.6, 47)], closed=True), look.paint
    )
    pencil.line(spline([(-10.6, 36), (0, 37.4), (10.6, 36)]), look.trim, 1.4)
    if look.cut == "rolltop":
        pencil.shape([(-12, 6), (12, 6), (12.6, 14), (-12.6, 14)], look.trim)
        pencil.line([(0, 14), (0, 32)], look.trim, 2.2)
    else:
        pencil.line(spline([(-12, 22), (0, 12.5), (12, 22)]), look.fold, 1.2, 0.9)
        pencil.shape([(-4, 20), (4, 20), (4, 26), (-4, 26)], look.trim)


def _clutch(pencil: Pencil, look: Look) -> None:
    if look.cut == "frame":
        pencil.shape(spline([(-17, 6), (17, 6), (18.6, 18), (14, 26), (-14, 26), (-18.6, 18)], closed=True), look.paint)
        pencil.shape([(-16.5, 3.5), (16.5, 3.5), (17.4, 7.5), (-17.4, 7.5)], _BRASS)
        for side in SIDES:
            pencil.dot(side * 1.7, 1.8, 2.1, _BRASS, edge=True)
        return
    pencil.shape([(-19, 2), (19, 2), (19, 27), (-19, 27)], look.paint)
    flap = [(-19, 2), (19, 2), (0, 19)] if look.cut == "envelope" else [(-19, 2), (19, 2), (18, 14), (-18, 14)]
    pencil.shape(flap, lighter(look.paint.base, 0.12))
    pencil.dot(0, 17 if look.cut == "envelope" else 14, 2.1, _BRASS, edge=True)


def _satchel(pencil: Pencil, look: Look) -> None:
    pencil.stroke(spline([(-8, 16), (-7, 4), (0, 0), (7, 4), (8, 16)]), look.trim, 2.6, edge=True)
    if look.cut == "doctor":
        pencil.shape(
            spline([(-12, 14), (0, 12.5), (12, 14), (18.5, 40), (15, 45), (-15, 45), (-18.5, 40)], closed=True),
            look.paint,
        )
        pencil.line([(-13, 17), (13, 17)], _BRASS, 1.5)
    else:
        pencil.shape([(-18, 14), (18, 14), (18.6, 44), (-18.6, 44)], look.paint)
        pencil.shape([(-18.4, 13.5), (18.4, 13.5), (17.4, 31), (-17.4, 31)], lighter(look.paint.base, 0.1))
        for side in SIDES:
            pencil.shape([(side * 8, 26), (side * 11.5, 26), (side * 11.5, 37), (side * 8, 37)], look.trim)
            pencil.glaze(ellipse(side * 9.7, 33, 1.2, 1.2), _BRASS, 1)


def _crossbody_bag(pencil: Pencil, look: Look) -> None:
    if look.cut == "saddle":
        pencil.shape(spline([(-11, 0), (11, 0), (13, 12), (8, 20), (-8, 20), (-13, 12)], closed=True), look.paint)
        pencil.shape(
            spline([(-11, -0.5), (11, -0.5), (11.5, 8), (0, 14), (-11.5, 8)], closed=True),
            lighter(look.paint.base, 0.12),
        )
    else:
        pencil.shape([(-13, 0), (13, 0), (13.6, 18), (-13.6, 18)], look.paint)
        pencil.shape([(-13.2, -0.5), (13.2, -0.5), (12, 10), (-12, 10)], lighter(look.paint.base, 0.12))
        for x in (-6.5, 0, 6.5):
            pencil.line([(x - 5, 0), (x, 9)], look.fold, 0.7, 0.4)
    pencil.dot(0, 11, 1.8, _BRASS, edge=True)


def draw_crossbody(pencil: Pencil, look: Look, body: Body) -> None:
    """Small bag on a long strap that hangs from one shoulder to the hip."""
    strap = _BRASS if look.style == "elegant" else look.trim
    if body.flat:
        pencil.stroke(spline([(-12, 90), (-11, 62), (0, 52), (11, 62), (12, 90)]), strap, 1.8, edge=True)
        _crossbody_bag(pencil.at(0, 90, scale=1.1), look)
        return
    pencil.stroke([(-13 * body.girth, 46), (17 * body.girth, 97)], strap, 1.9, edge=True)
    _crossbody_bag(pencil.at(17.5 * body.girth, 96, scale=0.95), look)


DRAWERS: dict[str, Drawer] = {
    "tote": carried(_tote, 0.92),
    "backpack": carried(_backpack, 0.95),
    "clutch": carried(_clutch, 0.82),
    "satchel": carried(_satchel, 0.88),
    "crossbody": draw_crossbody,
}
