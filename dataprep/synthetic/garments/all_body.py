"""One-piece garments: dress, jumpsuit."""

from __future__ import annotations

from dataprep.synthetic.body import SIDES, Body
from dataprep.synthetic.garments.bodice import buttons, collar, inner_neck, sleeves
from dataprep.synthetic.garments.bottoms import two_legs
from dataprep.synthetic.look import Drawer, Look
from dataprep.synthetic.palette import darker, lighter
from dataprep.synthetic.pencil import Pencil, Point, ellipse, mirrored, spline


def bodice(body: Body, *, neck: float, drop: float, shoulder: float, pointed: bool) -> list[Point]:
    """Right half of an outline from the neck to the waist."""
    g = body.girth
    neckline = (
        [(0.0, 42 + drop), (neck, 41.5)]
        if pointed
        else spline([(0, 42 + drop), (neck * 0.75, 42 + drop * 0.72), (neck, 41.5)])
    )
    return [*neckline, (shoulder * g, 46.5), *spline([((shoulder - 2) * g, 60), (15 * g, 74), (14.2 * g, 84)])]


def slip_bodice(body: Body) -> list[Point]:
    """Right half of a strappy top from its low neckline to the waist."""
    g = body.girth
    return [(0, 63), *spline([(5, 59.5), (9.5, 56.5)]), *spline([(15.6 * g, 63), (15.2 * g, 72), (14.2 * g, 84)])]


def straps(pencil: Pencil, look: Look) -> None:
    for side in SIDES:
        pencil.stroke([(side * 9.5, 60), (side * 9, 44)], darker(look.paint.base, 0.1), 1.7)


def skirt_part(body: Body, *, length: float, hem: float, dip: float) -> list[Point]:
    """Right half of an outline from the hips to the hem, to follow a bodice."""
    g = body.girth
    side = spline(
        [
            (14.2 * g, 84),
            (19.4 * g, 101),
            ((max(hem, 19.4) * 0.55 + 19.4 * 0.45) * g, (101 + length) / 2),
            (hem * g, length),
        ]
    )
    return [*side, *spline([(hem * g, length), (hem * g * 0.5, length + dip), (0, length + dip)])]


def skirt_folds(pencil: Pencil, look: Look, body: Body, *, length: float, hem: float) -> None:
    for x in (-0.7, -0.28, 0.2, 0.62):
        fold = [(x * 12 * body.girth, 91), (x * 21 * body.girth, 114), (x * hem * body.girth, length)]
        pencil.line(spline(fold), look.fold, 1.0, 0.32)


def draw_dress(pencil: Pencil, look: Look, body: Body) -> None:
    """A-line, slip, wrap, shirt, maxi, fitted and evening dresses."""
    cut = look.cut
    length = {"slip": 146, "maxi": 181, "evening": 186, "fitted": 138, "sweater-dress": 132}.get(
        cut, 136
    ) + 4 * look.jitter[0]
    hem = {"slip": 22, "maxi": 33, "evening": 30, "fitted": 18, "sweater-dress": 20}.get(cut, 30) + 1.5 * look.jitter[1]
    if cut in ("slip", "evening"):
        straps(pencil, look)
        pencil.shape(mirrored([*slip_bodice(body), *skirt_part(body, length=length, hem=hem, dip=3)]), look.paint)
        skirt_folds(pencil, look, body, length=length, hem=hem)
        if cut == "evening":
            pencil.shape(mirrored([(0, 81), (14.6 * body.girth, 81), (14.8 * body.girth, 86.5), (0, 86.5)]), look.trim)
            pencil.line(spline([(6, 100), (9, 140), (13, length)]), look.fold, 1.4, 0.8)
        return
    reach = {"shirt-dress": 0.6, "wrap": 0.42, "maxi": 0.34, "sweater-dress": 0.98, "fitted": 0.0}.get(cut, 0.3)
    if reach:
        loose = 9.4 if cut in ("wrap", "maxi") else 8
        sleeves(pencil, look, body, reach=reach, top=8.2, middle=loose, end=loose - 1.6)
    pointed = cut in ("wrap", "shirt-dress")
    neck, drop = (8.5, 18) if pointed else (8.5, 9)
    shoulder = 15 if cut == "fitted" else 19.5
    inner_neck(pencil, look, body, neck, drop)
    half = bodice(body, neck=neck, drop=drop, shoulder=shoulder, pointed=pointed)
    dip = 0.5 if cut in ("fitted", "sweater-dress") else 3.0
    pencil.shape(mirrored([*half, *skirt_part(body, length=length, hem=hem, dip=dip)]), look.paint)
    skirt_folds(pencil, look, body, length=length, hem=hem)
    band = darker(look.paint.base, 0.18) if cut in ("wrap", "fitted", "sweater-dress") else look.trim
    pencil.shape(mirrored([(0, 82), (14.2 * body.girth, 82), (14.6 * body.girth, 87.5), (0, 87.5)]), band)
    if cut == "wrap":
        pencil.line([(-8.5, 41.5), (9, 82)], look.fold, 1.1, 0.8)
        pencil.line([(9, 88), (14, length)], look.fold, 1.1, 0.7)
        pencil.shape(spline([(10, 85), (15, 92), (12, 106), (10, 94)], closed=True), band)
    elif cut == "shirt-dress":
        pencil.line([(0, 60), (0, length)], look.fold, 0.8, 0.7)
        buttons(pencil, look, [64, 73, 94, 104, 114, 124])
        collar(pencil, look, spread=9.5, drop=13)
    elif cut == "maxi":
        for y in (112, 146):
            reach_x = (19.6 + (y - 101) / (length - 101) * (hem - 19.6)) * body.girth
            pencil.line(spline([(-reach_x, y), (0, y + 2.6), (reach_x, y)]), look.fold, 1.4, 0.75)
    if look.style == "bohemian" and cut != "maxi":
        for x in range(-8, 9, 4):
            pencil.glaze(ellipse(x, 72, 1.4, 1.4), look.trim, 1)


def draw_jumpsuit(pencil: Pencil, look: Look, body: Body) -> None:
    """Bodice and trousers in one piece with a belted waist."""
    wide, strappy = look.cut == "wide-leg", look.cut == "strappy"
    if strappy:
        straps(pencil, look)
    else:
        sleeves(pencil, look, body, reach=0.36 if wide else 0.62, top=8, middle=8, end=7.4)
        inner_neck(pencil, look, body, 8, 14)
    upper = slip_bodice(body) if strappy else bodice(body, neck=8, drop=15, shoulder=19.5, pointed=True)
    lower = two_legs(body, reach=0.98, thigh=10.8, knee=11.5 if wide else 9, hem=13 if wide else 6.5)
    right = lower[1 : len(lower) // 2]
    pencil.shape(mirrored([*upper, *right]), look.paint)
    pencil.line([(0, 102), (0, 115)], look.fold, 0.8, 0.7)
    if look.cut == "utility":
        buttons(pencil, look, [60, 68, 76])
        for side in SIDES:
            pencil.shape(
                [(side * 6, 61), (side * 14, 61), (side * 14, 70), (side * 6, 70)], lighter(look.paint.base, 0.1)
            )
    elif wide:
        pencil.line([(-8, 41.5), (5, 82)], look.fold, 1.0, 0.8)
    g = body.girth
    pencil.shape(mirrored([(0, 82), (14.4 * g, 82), (15 * g, 88.5), (0, 88.5)]), look.trim)
    for side in SIDES:
        path = body.leg(side)
        pencil.line([(path[0][0], 96), *path[1:]], look.fold, 0.8, 0.5)


DRAWERS: dict[str, Drawer] = {"dress": draw_dress, "jumpsuit": draw_jumpsuit}
