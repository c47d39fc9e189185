"""Bottoms: trousers, jeans, leggings, joggers, shorts, skirt."""

from __future__ import annotations

from dataprep.synthetic.body import SIDES, Body
from dataprep.synthetic.look import STITCH, Drawer, Look
from dataprep.synthetic.palette import darker, lighter
from dataprep.synthetic.pencil import Pencil, Point, ellipse, limb, mirrored, spline

WAIST_Y = 84.0


def two_legs(body: Body, *, reach: float, thigh: float, knee: float, hem: float, top: float = WAIST_Y) -> list[Point]:
    """Outline of a garment with two legs; `thigh`, `knee` and `hem` are half widths of one leg."""
    g = body.girth
    (hip_x, _), (knee_x, knee_y), (end_x, end_y) = body.leg(1, reach)
    crotch = 115.0 if reach > 0.5 else 112.0
    outer = spline(
        [(14.8 * g, top), (17.9 * g, 94), (hip_x + thigh * 0.98, 105), (knee_x + knee, knee_y), (end_x + hem, end_y)]
    )
    gap = 0.9 if reach > 0.5 else 2.2
    inner = [(max(end_x - hem, gap), end_y), (max(knee_x - knee, gap * 0.6), max(knee_y, crotch + 4)), (0, crotch)]
    return mirrored([(0, top), *outer, *inner])


def legs(pencil: Pencil, look: Look, body: Body, *, reach: float, thigh: float, knee: float, hem: float) -> None:
    """Both legs and the seat, in one cloth."""
    pencil.shape(two_legs(body, reach=reach, thigh=thigh, knee=knee, hem=hem), look.paint)
    pencil.line([(0, 102), (0, 115)], look.fold, 0.8, 0.7)


def waistband(pencil: Pencil, look: Look, body: Body, *, elastic: bool = False) -> None:
    g = body.girth
    colour = look.trim if elastic else darker(look.paint.base, 0.1)
    pencil.shape(
        mirrored([(0, WAIST_Y - 1), (14.8 * g, WAIST_Y - 1), (15.8 * g, WAIST_Y + 4.4), (0, WAIST_Y + 4.8)]), colour
    )
    if elastic:
        for side in SIDES:
            pencil.line(
                spline([(side * 1, WAIST_Y + 3), (side * 2.4, WAIST_Y + 9), (side * 1.6, WAIST_Y + 14)]),
                lighter(colour, 0.6),
                1.0,
            )
        return
    for x in (-10.5, 10.5):
        pencil.line([(x * g, WAIST_Y - 1), (x * g, WAIST_Y + 5)], look.fold, 1.3, 0.9)


def fly(pencil: Pencil, look: Look, stitch: tuple[int, int, int]) -> None:
    pencil.line(spline([(3.2, WAIST_Y + 4.5), (3.2, WAIST_Y + 15), (0, WAIST_Y + 21)]), stitch, 0.7, 0.9)
    pencil.glaze(ellipse(0, WAIST_Y + 2, 1.3, 1.3), look.trim, 1)


def draw_trousers(pencil: Pencil, look: Look, body: Body) -> None:
    """Straight, wide-leg, tapered or cropped, with creases and slanted pockets."""
    widths = {"wide-leg": (11, 12.5, 15), "tapered": (10.6, 8.2, 5.4), "cropped": (10.6, 9.2, 8.6)}
    thigh, knee, hem = widths.get(look.cut, (10.6, 8.8, 7.6))
    reach = 0.86 if look.cut == "cropped" else 0.98 + 0.01 * look.jitter[0]
    legs(pencil, look, body, reach=reach, thigh=thigh, knee=knee + 0.5 * look.jitter[1], hem=hem)
    waistband(pencil, look, body)
    fly(pencil, look, look.fold)
    for side in SIDES:
        pencil.line([(side * 12.5, WAIST_Y + 5), (side * 17, WAIST_Y + 17)], look.fold, 0.9, 0.8)
        path = body.leg(side, reach)
        pencil.line([(path[0][0], 92), *path[1:]], look.fold, 0.8, 0.55)


def draw_jeans(pencil: Pencil, look: Look, body: Body) -> None:
    """Skinny, straight, flared or ripped denim with golden stitching."""
    widths = {"skinny": (10.2, 7.2, 4.9), "flared": (10.2, 7.6, 12.5), "wide-leg": (11, 11.5, 12.5)}
    thigh, knee, hem = widths.get(look.cut, (10.4, 8.6, 7.8))
    reach = 0.98 + 0.01 * look.jitter[0]
    stitch = STITCH
    legs(pencil, look, body, reach=reach, thigh=thigh, knee=knee, hem=hem)
    waistband(pencil, look, body)
    fly(pencil, look, stitch)
    for side in SIDES:
        path = body.leg(side, reach)
        for size in (1.0, 0.6):
            pencil.glaze(ellipse(path[0][0] + side, 124, 3.6 * size, 21 * size), lighter(look.paint.base, 0.8), 0.13)
        pencil.line(
            spline([(side * 6.5, WAIST_Y + 5), (side * 10, WAIST_Y + 12), (side * 17.8, WAIST_Y + 13)]), stitch, 0.8
        )
        ends = limb([path[2], body.leg(side, reach - 0.035)[-1]], [hem, hem])
        pencil.line(ends[1:3], stitch, 0.6)
        if look.cut == "ripped":
            kx, ky = path[1]
            pencil.glaze(ellipse(kx, ky - 3, 5, 2.6), lighter(look.paint.base, 0.9), 0.95)
            pencil.glaze(ellipse(kx + side, ky - 26, 3.6, 1.9), lighter(look.paint.base, 0.9), 0.9)
            pencil.line([(kx - 4, ky - 3), (kx + 4, ky - 3)], look.fold, 0.6, 0.7)


def draw_leggings(pencil: Pencil, look: Look, body: Body) -> None:
    """Close-fitting; sporty ones carry side panels."""
    reach = 0.8 if look.cut == "cropped" else 0.97
    legs(pencil, look, body, reach=reach, thigh=9.8, knee=6.8, hem=4.7)
    g = body.girth
    pencil.shape(mirrored([(0, 81), (14.4 * g, 81), (16.2 * g, 90), (0, 91)]), darker(look.paint.base, 0.14))
    for side in SIDES:
        path = body.leg(side, reach)
        panel = [
            (path[0][0] + side * 8.5 * g, 96),
            (path[1][0] + side * 5.4, path[1][1]),
            (path[2][0] + side * 3.6, path[2][1]),
        ]
        pencil.line(panel, look.trim, 2.4)
        pencil.glaze(ellipse(path[0][0] + side * 2, 122, 1.6, 17), lighter(look.paint.base, 0.7), 0.25)


def draw_joggers(pencil: Pencil, look: Look, body: Body) -> None:
    """Soft trousers with an elastic waist and cuffs."""
    legs(pencil, look, body, reach=0.94, thigh=11, knee=9.6, hem=7)
    waistband(pencil, look, body, elastic=True)
    for side in SIDES:
        start, end = body.leg(side, 0.92)[-1], body.leg(side, 0.99)[-1]
        pencil.shape(limb([start, end], [6.0, 5.0]), look.trim)
        pencil.line(
            spline([(side * 14, WAIST_Y + 8), (side * 16, WAIST_Y + 16), (side * 17, WAIST_Y + 22)]),
            look.fold,
            1.1,
            0.8,
        )
        if look.cut == "striped-side" or look.style == "sporty":
            path = body.leg(side, 0.9)
            stripe = [
                (path[0][0] + side * 9, 100),
                (path[1][0] + side * 7.8, path[1][1]),
                (path[2][0] + side * 5.6, path[2][1]),
            ]
            pencil.line(stripe, look.trim, 2.4)


def draw_shorts(pencil: Pencil, look: Look, body: Body) -> None:
    """Tailored, denim or sports shorts."""
    reach = {"tailored": 0.42, "denim": 0.3, "running": 0.28}.get(look.cut, 0.38) + 0.03 * look.jitter[0]
    flare = 13 if look.cut == "running" else 11.6
    legs(pencil, look, body, reach=reach, thigh=11, knee=11.4, hem=flare)
    waistband(pencil, look, body, elastic=look.cut == "running")
    if look.cut == "running":
        for side in SIDES:
            pencil.line(
                [(side * 17.2, 92), (side * 20, 106), (side * 21.5, body.leg(side, reach)[-1][1])], look.trim, 2.4
            )
        return
    stitch = STITCH if look.cut == "denim" else look.fold
    fly(pencil, look, stitch)
    for side in SIDES:
        end = body.leg(side, reach)[-1]
        inner = max(end[0] * side - flare, 2.2)
        cuff = [
            (inner, end[1] - 4),
            (end[0] * side + flare - 0.3, end[1] - 4),
            (end[0] * side + flare, end[1]),
            (inner, end[1]),
        ]
        pencil.shape([(side * x, y) for x, y in cuff], lighter(look.paint.base, 0.18))
        pencil.line([(side * 12, WAIST_Y + 5), (side * 17, WAIST_Y + 15)], stitch, 0.9, 0.9)


def draw_skirt(pencil: Pencil, look: Look, body: Body) -> None:
    """Mini, pencil, A-line, pleated or tiered maxi."""
    g = body.girth
    shapes = {
        "mini": (20.5, 124.0, 0.0),
        "pencil": (16.5, 146.0, 0.0),
        "a-line": (29.0, 143.0, 2.5),
        "pleated": (30.0, 148.0, 2.0),
        "maxi": (33.0, 180.0, 3.0),
    }
    hem, length, dip = shapes[look.cut]
    length += 4 * look.jitter[0]
    side = spline(
        [
            (14.8 * g, WAIST_Y),
            (19.2 * g, 101),
            ((max(hem, 19.2) * 0.55 + 19.2 * 0.45) * g, (length + 101) / 2),
            (hem * g, length),
        ]
    )
    bottom = (
        spline([(hem * g, length), (hem * 0.5 * g, length + dip), (0, length + dip)])
        if dip
        else [(hem * g, length), (0, length)]
    )
    pencil.shape(mirrored([(0, WAIST_Y), *side, *bottom]), look.paint)
    if look.cut == "pleated":
        for i in range(-6, 7):
            pencil.line([(i * 2.3 * g, WAIST_Y + 4), (i * hem / 6.6 * g, length + 1)], look.fold, 1.0, 0.6)
            pencil.glaze(
                [(i * 2.3 * g, WAIST_Y + 4), (i * hem / 6.6 * g, length + 1), ((i + 0.45) * hem / 6.6 * g, length + 1)],
                look.fold,
                0.22,
            )
    elif look.cut in ("a-line", "maxi"):
        for x in (-0.6, -0.2, 0.25, 0.65):
            pencil.line(
                spline([(x * 10 * g, WAIST_Y + 8), (x * 20 * g, 118), (x * hem * g, length)]), look.fold, 1.0, 0.35
            )
    if look.cut == "maxi":
        for y in (116, 148):
            half = (19.2 + (y - 101) / (length - 101) * (hem - 19.2)) * g
            pencil.line(spline([(-half, y), (0, y + 2.5), (half, y)]), look.fold, 1.3, 0.7)
    if look.cut == "mini" and look.paint.fabric == "denim":
        pencil.line([(0, WAIST_Y), (0, length)], STITCH, 0.8)
        for s in SIDES:
            pencil.line([(s * 8, WAIST_Y + 6), (s * 17, WAIST_Y + 15)], STITCH, 0.8)
    if look.cut == "pencil":
        pencil.line([(5, length), (5, length - 16)], look.fold, 1.0, 0.8)
    pencil.shape(
        mirrored([(0, WAIST_Y - 1.5), (14.6 * g, WAIST_Y - 1.5), (15.6 * g, WAIST_Y + 3.6), (0, WAIST_Y + 4)]),
        look.trim,
    )


DRAWERS: dict[str, Drawer] = {
    "trousers": draw_trousers,
    "jeans": draw_jeans,
    "leggings": draw_leggings,
    "joggers": draw_joggers,
    "shorts": draw_shorts,
    "skirt": draw_skirt,
}
