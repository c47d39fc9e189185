"""Parts that garments of the upper body share: bodice, sleeves, cuffs, collar, buttons, folds."""

from __future__ import annotations

from dataprep.synthetic.body import SIDES, Body
from dataprep.synthetic.look import Look
from dataprep.synthetic.palette import lighter
from dataprep.synthetic.pencil import Pencil, Point, ellipse, limb, mirrored, spline


def torso(
    body: Body,
    *,
    neck: float,
    drop: float,
    shoulder: float = 19.5,
    waist: float = 15.5,
    hem: float = 18.0,
    length: float = 106.0,
    dip: float = 0.0,
    pointed: bool = False,
) -> list[Point]:
    """Outline of a bodice; widths are half widths, `drop` is the depth of the neckline, `dip` rounds the hem."""
    g = body.girth
    neckline = (
        [(0.0, 42 + drop), (neck, 41.5)]
        if pointed
        else spline([(0, 42 + drop), (neck * 0.7, 42 + drop * 0.7), (neck, 41.5)])
    )
    side = spline([(shoulder * g, 47.0), ((shoulder - 1.3) * g, 60), (waist * g, 82), (hem * g, length)])
    bottom = (
        spline([(hem * g, length), (hem * g * 0.55, length + dip), (0, length + dip)])
        if dip
        else [(hem * g, length), (0, length)]
    )
    return mirrored([*neckline, *side, *bottom])


def sleeves(
    pencil: Pencil, look: Look, body: Body, *, reach: float, top: float = 7.6, middle: float = 6.4, end: float = 5.2
) -> None:
    """Both sleeves down to `reach` of the arm."""
    for side in SIDES:
        # The path starts inside the shoulder so that the bodice, drawn later, covers the seam.
        _, *rest = body.arm(side, reach)
        path = [(side * 9.5, 49.0 + top - 7.6), (side * 17.2 * body.girth, 52.2 + (top - 7.6) / 2), *rest]
        outline = limb(path, [3.4, top - 1.2, middle, end])
        pencil.shape(outline, look.paint, turn_deg=body.arm_turn_deg(side))


def cuffs(pencil: Pencil, look: Look, body: Body, *, reach: float, width: float, length: float = 0.07) -> None:
    """A band around the end of each sleeve, in the trim colour."""
    for side in SIDES:
        start, end = body.arm(side, reach - length)[-1], body.arm(side, reach)[-1]
        pencil.shape(limb([start, end], [width, width]), look.trim)


def inner_neck(pencil: Pencil, look: Look, body: Body, neck: float, drop: float) -> None:
    """Back of the collar, visible when the garment is not worn."""
    if body.flat:
        pencil.shape(
            [
                (-neck, 41.5),
                *spline([(-neck, 41), (0, 43.2), (neck, 41)]),
                (neck * 0.6, 44 + drop),
                (-neck * 0.6, 44 + drop),
            ],
            look.inside,
        )


def folds(pencil: Pencil, look: Look, body: Body, length: float) -> None:
    """Soft creases towards the waist."""
    g = body.girth
    for side in SIDES:
        pencil.line(spline([(side * 15.5 * g, 60), (side * 12 * g, 70), (side * 10 * g, 84)]), look.fold, 0.9, 0.28)
        pencil.line(
            spline([(side * 6 * g, length - 20), (side * 8 * g, length - 9), (side * 7 * g, length - 2)]),
            look.fold,
            0.9,
            0.2,
        )


def collar(pencil: Pencil, look: Look, *, spread: float = 8.6, drop: float = 11.0) -> None:
    """Two pointed collar wings."""
    colour = lighter(look.paint.base, 0.12)
    for side in SIDES:
        wing = [(0, 46), (side * 5.2, 40.2), (side * spread, 42.5), (side * 8.2, drop + 42), (side * 2.6, 50)]
        pencil.shape(wing, colour)


def buttons(pencil: Pencil, look: Look, ys: list[float], x: float = 0.0) -> None:
    for y in ys:
        pencil.glaze(ellipse(x, y, 1.15, 1.15), look.trim, 1)
        pencil.line(ellipse(x, y, 1.15, 1.15), look.fold, 0.4, 0.7)
