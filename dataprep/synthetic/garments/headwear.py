# ruff: noqa: ARG001 (every drawing function has the same signature)

"""Hats and sunglasses, placed on the head (chin at y = 37, eyes at y = 21, crown at y = 3)."""

from __future__ import annotations

from dataprep.synthetic.body import SIDES, Body
from dataprep.synthetic.look import Drawer, Look
from dataprep.synthetic.palette import RGB, darker, lighter
from dataprep.synthetic.pencil import Pencil, Point, ellipse, mirrored, spline


def draw_cap(pencil: Pencil, look: Look, body: Body) -> None:
    """Baseball cap with the peak to one side, or a flat-brimmed snapback."""
    side = 1 if look.jitter[0] > 0 else -1
    p = pencil.at(0, 0, flip=side < 0)
    p.shape(
        spline([(-15, 13), (-14.5, 2), (-8, -6), (1, -7.5), (10, -4.5), (14.5, 4), (15, 13), (0, 14.5)], closed=True),
        look.paint,
    )
    p.line(spline([(0, -7.3), (3.5, 1), (4, 13)]), look.fold, 0.8, 0.7)
    p.line(spline([(-2, -7), (-8.5, 2), (-9, 13)]), look.fold, 0.8, 0.6)
    peak = (
        [(-2, 12), (10, 9.6), (19, 10), (27, 13.5), (26, 16.5), (14, 15.6), (2, 16.2)]
        if look.cut != "snapback"
        else [(-4, 11), (24, 9), (27, 11.5), (25, 14.5), (-3, 15.6)]
    )
    p.shape(spline(peak, closed=True), look.trim)
    p.dot(0, -7.4, 1.5, look.trim)
    p.shape(ellipse(5.4, 4.5, 3.6, 3.3), lighter(look.trim, 0.5), edge=False)


def draw_beanie(pencil: Pencil, look: Look, body: Body) -> None:
    """Knitted hat with a turned-up rim; some with a pompom, some slouchy."""
    top = -13 if look.cut == "slouchy" else -8
    lean = 4 if look.cut == "slouchy" else 0
    if look.cut == "pompom":
        pencil.shape(ellipse(0, top - 4, 5.4, 5.2), lighter(look.trim, 0.25))
    pencil.shape(
        spline(
            [
                (-14.4, 9),
                (-13.5, -1),
                (-7 + lean, top + 1.6),
                (lean * 1.6, top),
                (8 + lean, top + 2.4),
                (13.8, 0),
                (14.4, 9),
            ],
            closed=False,
        ),
        look.paint,
    )
    for x in range(-10, 11, 4):
        pencil.line(spline([(x, 8), (x * 0.92 + lean * 0.3, 0), (x * 0.5 + lean, top + 3)]), look.fold, 0.7, 0.45)
    pencil.shape(spline(mirrored([(0, 5.6), (15, 5), (15.4, 13.4), (0, 14.4)])), look.trim)
    for x in range(-12, 13, 3):
        pencil.line([(x, 6.4), (x, 13.4)], look.fold, 0.7, 0.5)


def _brim(pencil: Pencil, look: Look, reach: float, drop: float, y: float = 11.0) -> None:
    pencil.shape(
        spline(
            [
                (-reach, y + drop),
                (-reach * 0.62, y - 1.5),
                (0, y - 3),
                (reach * 0.62, y - 1.5),
                (reach, y + drop),
                (reach * 0.55, y + 4.5),
                (0, y + 5.4),
                (-reach * 0.55, y + 4.5),
            ],
            closed=True,
        ),
        look.paint,
    )


def draw_fedora(pencil: Pencil, look: Look, body: Body) -> None:
    """Pinched crown, ribbon and brim; `wide-brim` is a sun hat."""
    wide = look.cut == "wide-brim"
    _brim(pencil, look, 31 if wide else 23.5, 3.0 if wide else 1.0)
    crown = [(0, -8.5), (4, -11.4), (9.5, -10), (12.6, 0), (13.6, 11), (0, 12.6)]
    pencil.shape(
        spline(mirrored(crown))
        if not wide
        else spline(mirrored([(0, -9.5), (8, -8), (12.6, 1), (13.6, 11), (0, 12.6)])),
        look.paint,
    )
    pencil.shape(
        spline([(-13.2, 5.6), (0, 7.4), (13.2, 5.6), (13.7, 10.6), (0, 12.6), (-13.7, 10.6)], closed=True), look.trim
    )
    if not wide:
        pencil.line(spline([(0, -8), (1.4, -3), (0.4, 1)]), look.fold, 1.3, 0.7)


def draw_bucket_hat(pencil: Pencil, look: Look, body: Body) -> None:
    """Soft round hat with a sloping brim."""
    pencil.shape(
        [(-20, 14.5), *spline([(-12.6, 4), (0, 5.4), (12.6, 4)]), (20, 14.5), *spline([(20, 15), (0, 19), (-20, 15)])],
        look.paint,
    )
    pencil.shape(spline(mirrored([(0, -8.6), (8, -8), (11, -5.4), (13, 5.2), (0, 7)])), look.paint)
    pencil.line(spline([(-13, 5), (0, 7), (13, 5)]), look.trim, 1.7)
    for y in (9.5, 12.5):
        pencil.line(spline([(-13 - (y - 5) * 0.7, y), (0, y + 2.6), (13 + (y - 5) * 0.7, y)]), look.fold, 0.6, 0.6)


def draw_beret(pencil: Pencil, look: Look, body: Body) -> None:
    """Flat round felt hat, tilted."""
    p = pencil.at(0, 0, flip=look.jitter[0] > 0)
    p.shape(spline([(-14.5, 7), (-21, 2), (-17, -6), (-3, -10.5), (9, -7), (14, 0), (13.8, 7)]), look.paint)
    p.shape(
        spline([(-14.6, 5.4), (0, 4.2), (14, 5.4), (14, 9.4), (0, 8.4), (-14.6, 9.6)], closed=True),
        darker(look.paint.base, 0.22),
    )
    p.stroke([(-3, -10), (-2.2, -14)], look.paint.base, 1.7, edge=True)
    p.line(spline([(-16, -1), (-6, -6), (6, -4)]), lighter(look.paint.base, 0.5), 1.2, 0.5)


def _lens(cut: str, side: int) -> list[Point]:
    outlines: dict[str, list[Point]] = {
        "aviator": [(1.8, 17.6), (8, 16.4), (13, 17.6), (12.6, 23), (9, 28), (4.4, 27), (2, 22.4)],
        "round": ellipse(7.2, 21.6, 5.6, 5.6),
        "cat-eye": [(1.6, 19), (6, 18), (14.6, 14.6), (13.6, 21.4), (10, 25.6), (4.6, 25.6), (2, 23)],
        "square": [(1.6, 17), (12.8, 16.4), (13.2, 25), (11.4, 26.8), (3, 26.8), (1.8, 25)],
    }
    points = outlines[cut]
    smooth = points if cut in ("round", "square") else spline(points, closed=True)
    return [(side * x, y) for x, y in smooth]


def draw_sunglasses(pencil: Pencil, look: Look, body: Body) -> None:
    """Aviator, round, cat-eye or square frames with tinted lenses."""
    lens: RGB = (58, 48, 52) if look.jitter[1] > -0.2 else (122, 84, 58)
    if look.jitter[1] > 0.7:
        lens = (64, 96, 140)
    wire = 1.2 if look.cut in ("aviator", "round") else 2.0
    frame = look.paint.base
    pencil.stroke(spline([(-3, 19.6), (0, 18.2), (3, 19.6)]), frame, 1.8)
    if look.cut == "aviator":
        pencil.stroke([(-3.5, 17.2), (3.5, 17.2)], frame, 1.1)
    for side in SIDES:
        if body.flat:
            pencil.stroke([(side * 13, 18), (side * 15.4, 15.6), (side * 13.4, 8)], frame, 1.7)
        else:
            pencil.stroke([(side * 12.4, 18.6), (side * 15, 19)], frame, 1.7)
        outline = _lens(look.cut, side)
        pencil.shape(outline, lens, edge=False)
        pencil.glaze([(side * 4.2, 18.2), (side * 7, 17.6), (side * 4.6, 24), (side * 3, 23)], (255, 255, 255), 0.28)
        pencil.stroke([*outline, outline[0]], frame, wire)
        if look.cut == "cat-eye":
            pencil.shape([(side * 8, 17), (side * 15.2, 13.8), (side * 13.8, 19)], frame, edge=False)


DRAWERS: dict[str, Drawer] = {
    "cap": draw_cap,
    "beanie": draw_beanie,
    "fedora": draw_fedora,
    "bucket-hat": draw_bucket_hat,
    "beret": draw_beret,
    "sunglasses": draw_sunglasses,
}
