"""What a garment looks like: the input of every drawing function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dataprep.synthetic.body import Body
from dataprep.synthetic.palette import RGB, darker, lch, lighter
from dataprep.synthetic.patterns import Paint
from dataprep.synthetic.pencil import Pencil

STITCH: RGB = (224, 170, 92)
"""The golden thread of denim."""


@dataclass(frozen=True)
class Look:
    """A garment's cut and cloth. `jitter` holds six values in [-1, 1] that make two garments of one cut differ a little."""

    cut: str
    paint: Paint
    trim: RGB
    style: str
    jitter: tuple[float, ...]

    @property
    def fold(self) -> RGB:
        """Colour of seams and folds on this cloth."""
        return lighter(self.paint.base, 0.35) if lch(self.paint.base)[0] < 25 else darker(self.paint.base, 0.45)

    @property
    def inside(self) -> RGB:
        """Colour of the cloth's shaded inside."""
        return darker(self.paint.base, 0.42)


Drawer = Callable[[Pencil, Look, Body], None]
