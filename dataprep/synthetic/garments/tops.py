"""Tops: t-shirt, tank-top, polo, shirt, blouse, sweater, hoodie."""

from __future__ import annotations

from dataprep.synthetic.body import SIDES, Body
from dataprep.synthetic.garments.bodice import buttons, collar, cuffs, folds, inner_neck, sleeves, torso
from dataprep.synthetic.look import Drawer, Look
from dataprep.synthetic.palette import darker, lighter
from dataprep.synthetic.pencil import Pencil, ellipse, limb, mirrored, spline


def draw_t_shirt(pencil: Pencil, look: Look, body: Body) -> None:
    """Crew neck, v-neck, boxy or long-sleeved jersey."""
    boxy, long = look.cut == "boxy", look.cut == "long-sleeve"
    length = (98 if boxy else 107) + 3 * look.jitter[0]
    pointed = look.cut == "v-neck"
    drop = 15 if pointed else 7 + look.jitter[1]
    reach = 0.97 if long else 0.36 + 0.05 * look.jitter[2]
    sleeves(pencil, look, body, reach=reach, top=8.4, middle=6.4 if long else 9.0, end=5.0 if long else 9.2)
    inner_neck(pencil, look, body, 8, drop)
    outline = torso(
        body,
        neck=8,
        drop=drop,
        waist=19.5 if boxy else 16.5,
        hem=20.5 if boxy else 18.5,
        length=length,
        pointed=pointed,
    )
    pencil.shape(outline, look.paint)
    rim = (
        [(-8, 41.5), (0, 42 + drop), (8, 41.5)] if pointed else spline([(-8, 41.5), (0, 42 + drop), (8, 41.5)], steps=9)
    )
    pencil.line(rim, look.trim, 2.2)
    if look.style == "sporty":
        for side in SIDES:
            pencil.line(body.arm(side, reach), look.trim, 2.0)
    folds(pencil, look, body, length)


def draw_tank_top(pencil: Pencil, look: Look, body: Body) -> None:
    """Sleeveless, with broad or thin straps."""
    g, thin = body.girth, look.cut == "strappy"
    strap = 1.6 if thin else 3.6
    length = (100 if thin else 106) + 3 * look.jitter[0]
    inner = spline([(0, 60 if thin else 55), (6, 58 if thin else 53), (9.5 - strap / 2, 45)])
    outer = spline([(9.5 + strap / 2, 44.5), (11.8, 54), (16.5 * g, 63), (15 * g, 82), (18 * g, length)])
    if body.flat:
        pencil.shape(mirrored([(0, 53), (7, 50), (9, 45), (10, 45), (14, 62), (0, 64)]), look.inside)
    pencil.shape(mirrored([*inner, *outer, (0, length + 1)]), look.paint)
    for side in SIDES:
        pencil.line([(side * x, y) for x, y in inner], look.trim, 1.3)
        pencil.line([(side * x, y) for x, y in outer[:15]], look.trim, 1.3)
        if look.style == "sporty":
            pencil.line([(side * 15.4 * g, 66), (side * 14 * g, 83), (side * 16.4 * g, length)], look.trim, 2.2)
    folds(pencil, look, body, length)


def draw_polo(pencil: Pencil, look: Look, body: Body) -> None:
    """Short sleeves with bands, a small collar and three buttons."""
    length = 107 + 3 * look.jitter[0]
    sleeves(pencil, look, body, reach=0.36, top=8.2, middle=8.4, end=8.6)
    cuffs(pencil, look, body, reach=0.37, width=8.8, length=0.05)
    inner_neck(pencil, look, body, 7.5, 8)
    pencil.shape(torso(body, neck=7.5, drop=9, waist=16.5, hem=18.5, length=length, pointed=True), look.paint)
    pencil.shape([(-2.2, 48), (2.2, 48), (2.2, 66), (-2.2, 66)], lighter(look.paint.base, 0.08))
    buttons(pencil, look, [52.5, 57.5, 62.5])
    for side in SIDES:
        pencil.shape([(0, 51), (side * 6, 40), (side * 9, 43), (side * 7.5, 53)], look.trim)
    folds(pencil, look, body, length)


def draw_shirt(pencil: Pencil, look: Look, body: Body) -> None:
    """Button front with a collar; long, short or rolled sleeves, or worn large."""
    large = look.cut == "oversized"
    short = look.cut == "short-sleeve"
    length = (113 if large else 107) + 3 * look.jitter[0]
    wide = 2.5 if large else 0.0
    reach = 0.38 if short else 0.66 if look.cut == "rolled-sleeve" else 0.97
    end = 8.4 if short else 5.6 + wide / 2
    sleeves(pencil, look, body, reach=reach, top=8 + wide / 2, middle=8.6 if short else 6.8 + wide / 2, end=end)
    if not short:
        for side in SIDES:
            band = limb([body.arm(side, reach - 0.08)[-1], body.arm(side, reach + 0.01)[-1]], [end + 0.3, end + 0.1])
            pencil.shape(band, lighter(look.paint.base, 0.15))
    inner_neck(pencil, look, body, 7, 8)
    outline = torso(
        body,
        neck=7,
        drop=8,
        shoulder=19.5 + wide,
        waist=16.3 + wide,
        hem=18 + wide,
        length=length - 4,
        dip=5,
        pointed=True,
    )
    pencil.shape(outline, look.paint)
    pencil.line([(-1.9, 50), (-1.9, length + 0.5)], look.fold, 0.6, 0.55)
    pencil.line([(1.9, 50), (1.9, length + 0.5)], look.fold, 0.6, 0.55)
    buttons(pencil, look, [56 + 9.4 * i for i in range(6) if 56 + 9.4 * i < length - 2])
    if look.cut != "regular" or look.jitter[3] > 0:
        pencil.shape([(6, 62), (14, 62), (14, 70), (10, 72.5), (6, 70)], look.paint)
    collar(pencil, look)
    folds(pencil, look, body, length)


def draw_blouse(pencil: Pencil, look: Look, body: Body) -> None:
    """Full sleeves with gathered cuffs; with a bow, ruffles, a tie neck, or worn off the shoulders."""
    g = body.girth
    length = 103 + 3 * look.jitter[0]
    if look.cut == "off-shoulder":
        for side in SIDES:
            pencil.shape(limb(body.arm(side, 0.6), [8, 9.5, 7]), look.paint, turn_deg=body.arm_turn_deg(side))
        side_line = spline([(20.5 * g, 53), (17 * g, 64), (15.5 * g, 84), (20 * g, length)])
        pencil.shape(mirrored([(0, 56), (12, 54.5), *side_line, (0, length + 1)]), look.paint)
        frill = [(0, 54.5), (12, 53), (21 * g, 50.5), (22.5 * g, 61), (16, 66), (10, 64), (5, 67.5), (0, 65.5)]
        pencil.shape(spline(mirrored(frill)), look.paint)
        pencil.line(spline([(-20 * g, 53), (0, 56.5), (20 * g, 53)]), look.fold, 0.9, 0.5)
        return
    sleeves(pencil, look, body, reach=0.9, top=8.8, middle=10.2 + look.jitter[1], end=7.4)
    for side in SIDES:
        band = limb([body.arm(side, 0.88)[-1], body.arm(side, 0.98)[-1]], [4.6, 5.4])
        pencil.shape(band, look.paint)
        for shift in (-2.4, 0.6, 3.2):
            (ax, ay), (bx, by) = body.arm(side, 0.6)[-1], body.arm(side, 0.88)[-1]
            pencil.line([(ax + shift, ay), (bx + shift * 0.7, by)], look.fold, 0.7, 0.3)
    inner_neck(pencil, look, body, 7, 10)
    drop = 6 if look.cut == "bow" else 13
    pencil.shape(
        torso(body, neck=7.5, drop=drop, waist=15, hem=20, length=length, dip=2, pointed=look.cut == "v-neck"),
        look.paint,
    )
    if look.cut == "bow":
        for side in SIDES:
            pencil.shape(
                spline([(0, 50), (side * 9, 44.5), (side * 10.5, 52.5), (side * 2, 52)], closed=True), look.trim
            )
            pencil.shape([(0, 51), (side * 2.2, 51), (side * 6.5, 72), (side * 2.8, 73)], look.trim)
        pencil.shape(ellipse(0, 51, 2.2, 2.2), darker(look.trim, 0.15))
    elif look.cut == "ruffled":
        for side in SIDES:
            edge = spline(
                [
                    (side * 1, 52),
                    (side * 5.5, 58),
                    (side * 3.2, 65),
                    (side * 6, 73),
                    (side * 3, 81),
                    (side * 4.6, 89),
                    (side * 0.5, 96),
                ]
            )
            pencil.shape([*edge, (0, 52)], lighter(look.paint.base, 0.2))
    else:
        pencil.line([(-7.5, 41.5), (0, 42 + drop), (7.5, 41.5)], look.trim, 1.8)
    if look.style == "bohemian":
        for x in (-5.5, 0, 5.5):
            for y in (62, 69, 76):
                pencil.glaze(ellipse(x, y, 1.7, 1.7), look.trim, 1)
    folds(pencil, look, body, length)


def draw_sweater(pencil: Pencil, look: Look, body: Body) -> None:
    """Knitted pullover: crew, turtleneck, v-neck or chunky."""
    chunky = 2.0 if look.cut in ("chunky", "turtleneck") else 0.6
    length = 104 + 3 * look.jitter[0]
    sleeves(pencil, look, body, reach=0.98, top=8.6 + chunky / 2, middle=7.8 + chunky / 2, end=6.6)
    for side in SIDES:
        pencil.shape(
            limb([body.arm(side, 0.88)[-1], body.arm(side, 1)[-1]], [6.4, 5.4]),
            look.inside if look.trim == look.paint.base else look.trim,
        )
    pointed = look.cut == "v-neck"
    drop = 14 if pointed else 5.5
    inner_neck(pencil, look, body, 8, drop)
    outline = torso(
        body,
        neck=8,
        drop=drop,
        shoulder=20 + chunky / 2,
        waist=18 + chunky,
        hem=18.5 + chunky / 2,
        length=length,
        pointed=pointed,
    )
    pencil.shape(outline, look.paint)
    band = mirrored(
        [
            (0, length - 7.5),
            ((18.3 + chunky / 2) * body.girth, length - 7.5),
            ((18 + chunky / 2) * body.girth, length + 0.5),
            (0, length + 0.5),
        ]
    )
    pencil.shape(band, look.inside if look.trim == look.paint.base else look.trim)
    for x in range(-16, 17, 3):
        pencil.line([(x, length - 7), (x, length)], look.fold, 0.6, 0.45)
    if look.cut == "turtleneck":
        pencil.shape(
            spline(mirrored([(0, 34.5), (7, 35), (8.2, 42), (9.4, 49), (0, 51.5)])), lighter(look.paint.base, 0.1)
        )
        pencil.line(spline([(-8.4, 42), (0, 44.5), (8.4, 42)]), look.fold, 0.9, 0.6)
    else:
        rim = [(-8, 41.5), (0, 42 + drop), (8, 41.5)] if pointed else spline([(-8, 41.5), (0, 42 + drop), (8, 41.5)])
        pencil.line(rim, look.fold, 3.6, 0.75)
    if look.cut == "chunky":
        for x in (-9, 0, 9):
            for y in range(54, int(length) - 12, 6):
                pencil.line(spline([(x - 2, y), (x + 2, y + 3), (x - 2, y + 6)]), look.fold, 0.9, 0.5)
    folds(pencil, look, body, length - 8)


def draw_hoodie(pencil: Pencil, look: Look, body: Body) -> None:
    """Sweatshirt with a hood, cords and a pouch pocket; `zipped` opens in front."""
    length = 106 + 3 * look.jitter[0]
    hood = spline(mirrored([(0, 33.5), (9, 35.5), (14, 43), (13, 51), (0, 54)]))
    pencil.shape(hood, look.inside if body.flat else look.paint)
    sleeves(pencil, look, body, reach=0.97, top=9, middle=8, end=6.6)
    cuffs(pencil, look, body, reach=1.0, width=5.8, length=0.1)
    pencil.shape(torso(body, neck=8.5, drop=9, shoulder=20.5, waist=18.6, hem=19, length=length), look.paint)
    pencil.shape(
        mirrored([(0, length - 6), (18.8 * body.girth, length - 6), (18.2 * body.girth, length + 1), (0, length + 1)]),
        look.trim,
    )
    for side in SIDES:
        fold = spline(
            [(side * 1, 53), (side * 5, 46), (side * 8.5, 39), (side * 14.5, 44), (side * 12.5, 52), (side * 5, 57)]
        )
        pencil.shape([*fold, (0, 55)], look.paint)
    if look.cut == "zipped":
        pencil.line([(0, 54), (0, length)], (205, 205, 210), 1.4)
        for side in SIDES:
            pencil.line([(side * 6, 84), (side * 12, 97)], look.fold, 1.2, 0.8)
    else:
        pencil.shape(mirrored([(0, 82), (8, 82), (13, 97), (0, 97)]), look.paint)
    for side in SIDES:
        pencil.line(spline([(side * 3, 54), (side * 3.6, 62), (side * 3, 69)]), lighter(look.trim, 0.5), 1.2)
    if look.style == "sporty":
        for side in SIDES:
            pencil.line(body.arm(side, 0.9), look.trim, 2.2)


DRAWERS: dict[str, Drawer] = {
    "t-shirt": draw_t_shirt,
    "tank-top": draw_tank_top,
    "polo": draw_polo,
    "shirt": draw_shirt,
    "blouse": draw_blouse,
    "sweater": draw_sweater,
    "hoodie": draw_hoodie,
}
