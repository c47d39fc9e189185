"""The mannequin that wears the clothes: its pose, the anchors that garments are cut to, and how skin, hair and face look.

Units: the mannequin is 200 units tall, the origin lies at the top of the head, y runs down. Sides are -1 (left in the
picture) and 1 (right). Proportions are those of a fashion sketch with a large head, so that small things stay visible.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from dataprep.synthetic.palette import RGB, darker, lighter, mix
from dataprep.synthetic.pencil import Pencil, Point, ellipse, limb, mirrored, spline

HEIGHT = 200.0
SIDES = (-1, 1)
SKIN_TONES: tuple[RGB, ...] = (
    (250, 218, 196),
    (240, 197, 164),
    (222, 170, 130),
    (190, 132, 92),
    (148, 96, 64),
    (104, 66, 46),
)
HAIR_TONES: tuple[RGB, ...] = (
    (36, 28, 28),
    (66, 44, 34),
    (112, 70, 42),
    (168, 104, 52),
    (220, 178, 108),
    (158, 66, 40),
    (176, 176, 182),
)
HAIR_STYLES = ("short", "bob", "long", "bun", "curly", "crop")


@dataclass(frozen=True)
class Body:
    """A pose. `flat` means that the garment is not worn: it lies on a table or stands in a product shot."""

    arms_deg: tuple[float, float] = (24.0, 24.0)
    bends_deg: tuple[float, float] = (4.0, 4.0)
    stance: float = 1.5
    girth: float = 1.0
    flat: bool = False

    def arm(self, side: int, reach: float = 1.0) -> list[Point]:
        """Path from the shoulder down the arm; `reach` 0.5 is the elbow, 1 the wrist."""
        index = 0 if side < 0 else 1
        upper = math.radians(self.arms_deg[index])
        lower = math.radians(self.arms_deg[index] - self.bends_deg[index])
        start = (side * 17.5 * self.girth, 50.0)
        elbow = (start[0] + side * 28 * math.sin(upper), start[1] + 28 * math.cos(upper))
        wrist = (elbow[0] + side * 27 * math.sin(lower), elbow[1] + 27 * math.cos(lower))
        return _partway([start, elbow, wrist], reach)

    def wrist(self, side: int) -> Point:
        return self.arm(side)[-1]

    def hand(self, side: int) -> Point:
        (ax, ay), (bx, by) = self.arm(side)[-2:]
        return bx + (bx - ax) * 0.2, by + (by - ay) * 0.2

    def arm_turn_deg(self, side: int) -> float:
        """How far the sleeve's cloth is turned clockwise from upright."""
        return -side * self.arms_deg[0 if side < 0 else 1]

    def leg(self, side: int, reach: float = 1.0) -> list[Point]:
        """Path from the hip down the leg; `reach` 0.5 is the knee, 1 the ankle."""
        hip = (side * 9.4 * self.girth, 103.0)
        knee = (side * (9.4 * self.girth + self.stance * 0.6), 146.0)
        ankle = (side * (9.0 * self.girth + self.stance), 188.0)
        return _partway([hip, knee, ankle], reach)

    def ankle(self, side: int) -> Point:
        return self.leg(side)[-1]


def _partway(path: list[Point], reach: float) -> list[Point]:
    (ax, ay), (bx, by), (cx, cy) = path
    if reach <= 0.5:
        share = reach * 2
        return [
            (ax, ay),
            (ax + (bx - ax) * share / 2, ay + (by - ay) * share / 2),
            (ax + (bx - ax) * share, ay + (by - ay) * share),
        ]
    share = reach * 2 - 1
    return [(ax, ay), (bx, by), (bx + (cx - bx) * share, by + (cy - by) * share)]


@dataclass(frozen=True)
class Person:
    """How the mannequin itself looks."""

    skin: RGB
    hair: RGB
    style: str

    @staticmethod
    def draw_from(rng: random.Random) -> Person:
        return Person(rng.choice(SKIN_TONES), rng.choice(HAIR_TONES), rng.choice(HAIR_STYLES))


def draw_back_hair(pencil: Pencil, person: Person) -> None:
    """Hair that falls behind the shoulders."""
    if person.style == "long":
        pencil.shape(spline(mirrored([(0, 2), (12, 6), (16, 20), (17.5, 40), (15, 60), (6, 63), (0, 62)])), person.hair)
    elif person.style == "bob":
        pencil.shape(spline(mirrored([(0, 2), (12, 5), (16, 18), (17, 32), (12, 39), (0, 38)])), person.hair)
    elif person.style == "curly":
        for x, y, r in ((-13, 14, 8), (13, 14, 8), (-14, 26, 8), (14, 26, 8), (-10, 36, 6), (10, 36, 6), (0, 5, 9)):
            pencil.shape(ellipse(x, y, r, r), person.hair, edge=False)
    elif person.style == "bun":
        pencil.shape(ellipse(0, -1, 7, 6.5), person.hair)


def draw_person(pencil: Pencil, person: Person, body: Body) -> None:
    """Skin: legs, arms, trunk and head with a plain face."""
    skin, g = person.skin, body.girth
    for side in SIDES:
        pencil.shape(limb(body.leg(side), [9.6 * g, 6.2 * g, 4.0]), skin)
        ax, ay = body.ankle(side)
        foot = [
            (ax - side * 4, ay - 2),
            (ax + side * 3.5, ay - 2),
            (ax + side * 9, ay + 7),
            (ax + side * 8, ay + 10),
            (ax - side * 4.5, ay + 10),
        ]
        pencil.shape(foot, skin)
        pencil.shape(limb(body.arm(side), [5.8, 4.6, 3.4]), skin)
        hx, hy = body.hand(side)
        pencil.shape(ellipse(hx, hy, 4.4, 5.2), skin)
    trunk = [(4.6, 44), (18.5 * g, 47), (17 * g, 62), (14.2 * g, 84), (18.6 * g, 104), (9 * g, 112), (0, 110)]
    pencil.shape(mirrored(trunk), skin)
    pencil.shape([(-4.9, 30), (4.9, 30), (5.6, 45), (0, 50), (-5.6, 45)], skin, edge=False)
    pencil.glaze([(-4.9, 33), (4.9, 33), (5, 39), (-5, 38)], darker(skin, 0.5), 0.3)
    _draw_head(pencil, person)


def _draw_head(pencil: Pencil, person: Person) -> None:
    skin = person.skin
    for side in SIDES:
        pencil.shape(ellipse(side * 12.4, 21.5, 2.4, 3.4), skin)
    pencil.shape(spline(mirrored([(0, 3), (9, 6), (12.6, 16), (11.4, 27), (6, 35), (0, 37)])), skin)
    for side in SIDES:
        pencil.glaze(ellipse(side * 7.4, 27, 2.6, 1.7), mix(skin, (226, 92, 92), 0.6), 0.45)
        pencil.glaze(ellipse(side * 5.2, 21.3, 1.25, 1.6), (40, 32, 34), 1)
        pencil.line([(side * 3.2, 17.2), (side * 6.9, 17.2)], darker(person.hair, 0.2), 0.9)
    pencil.line(spline([(-3.2, 29.3), (0, 30.8), (3.2, 29.3)]), (170, 66, 66), 1.1)
    pencil.line([(0, 22.5), (0.9, 25.4), (-0.4, 25.8)], darker(skin, 0.3), 0.7)
    _draw_front_hair(pencil, person)


def _draw_front_hair(pencil: Pencil, person: Person) -> None:
    hair = person.hair
    if person.style == "crop":
        top = [(0, 1), (10, 3.5), (13.4, 13), (12.6, 19), (10.8, 12), (0, 9.5)]
        pencil.shape(spline(mirrored(top)), hair, edge=False)
        return
    if person.style == "short":
        fringe = spline(
            [
                (-13, 20),
                (-14, 8),
                (-6, -0.5),
                (5, -1),
                (13.5, 6),
                (13.4, 20),
                (11.4, 12),
                (4, 9.5),
                (-6, 13),
                (-11.6, 12),
            ],
            closed=True,
        )
        pencil.shape(fringe, hair, edge=False)
        return
    parting = spline(
        [
            (-14, 24),
            (-14.6, 10),
            (-8, 0.5),
            (2, -0.5),
            (11, 3),
            (14.6, 12),
            (14, 24),
            (11.6, 15),
            (4, 7.5),
            (-3, 12),
            (-11.4, 15),
        ],
        closed=True,
    )
    pencil.shape(parting, hair, edge=False)
    pencil.line(spline([(-7, 4), (0, 2.4), (8, 5)]), lighter(hair, 0.35), 1.0, 0.5)
