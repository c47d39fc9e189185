"""From a photo to the detector's input, the same in training, evaluation and serving.

A photo is turned upright, made RGB, scaled to fit the canvas without distortion (Pillow's bilinear filter with
antialiasing) and centred on the mean colour. Boxes of the network are fractions of the canvas; `Placement` converts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from aura.errors import ArtifactError
from aura.pictures import scaled_to_fit, upright_rgb

if TYPE_CHECKING:  # whoever only prepares photos needs no torch
    import torch

_BYTE_MAX = 255
_METHOD = "letterbox-pillow-bilinear"
"""Written to `preprocess.json`: an artifact made with another method must not be served by this code."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a photo lies on the canvas.

    Attributes:
        photo_width, photo_height: size of the upright photo in px.
        left, top, width, height: the rectangle on the canvas that shows it, in canvas px.
    """

    photo_width: int
    photo_height: int
    left: int
    top: int
    width: int
    height: int

    def to_canvas(self, boxes_xyxy_px: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) in photo px -> canvas px."""
        scale, offset = self._scale_offset()
        return boxes_xyxy_px * scale + offset

    def to_photo(self, boxes_xyxy_px: np.ndarray) -> np.ndarray:
        """Boxes (N, 4) in canvas px -> photo px, clipped to the photo."""
        scale, offset = self._scale_offset()
        limits = np.array([self.photo_width, self.photo_height] * 2, dtype=np.float64)
        return np.clip((boxes_xyxy_px - offset) / scale, 0.0, limits)

    def _scale_offset(self) -> tuple[np.ndarray, np.ndarray]:
        scale = np.array([self.width / self.photo_width, self.height / self.photo_height] * 2, dtype=np.float64)
        return scale, np.array([self.left, self.top] * 2, dtype=np.float64)


@dataclass(frozen=True, kw_only=True)
class Preprocess:
    """Canvas size in px and the per-channel RGB normalisation (of values in 0..1)."""

    height: int
    width: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not all(isinstance(side, int) and side > 0 for side in (self.height, self.width)):
            raise ValueError(f"canvas sides must be positive whole numbers, got {self.height!r} x {self.width!r}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"mean and std need three values, those of std above 0; got {self.mean} and {self.std}")

    def place(self, image: Image.Image) -> tuple[np.ndarray, Placement]:
        """Photo in any mode -> canvas (height, width, 3) uint8 RGB, and where the photo lies on it."""
        photo = upright_rgb(image)
        fitted = scaled_to_fit(photo, self.width, self.height)
        width, height = fitted.size
        left, top = (self.width - width) // 2, (self.height - height) // 2
        canvas = self.empty_canvas()
        canvas[top : top + height, left : left + width] = np.asarray(fitted)
        placement = Placement(
            photo_width=photo.width, photo_height=photo.height, left=left, top=top, width=width, height=height
        )
        return canvas, placement

    def empty_canvas(self) -> np.ndarray:
        """(height, width, 3) uint8 filled with the mean colour, which normalises to about zero."""
        colour = np.round(np.array(self.mean) * _BYTE_MAX).astype(np.uint8)
        return np.broadcast_to(colour, (self.height, self.width, 3)).copy()

    def normalise(self, canvases: torch.Tensor) -> torch.Tensor:
        """(B, height, width, 3) uint8 -> (B, 3, height, width) float32, on the same device, channels last in memory."""
        values = canvases.float()
        mean, std = values.new_tensor(self.mean) * _BYTE_MAX, values.new_tensor(self.std) * _BYTE_MAX
        return ((values - mean) / std).permute(0, 3, 1, 2)

    def as_json(self) -> dict[str, Any]:
        return {"method": _METHOD, **asdict(self)}

    @classmethod
    def from_json(cls, values: Any) -> Preprocess:
        """Raises ArtifactError: a key is missing or unknown, or the method is not this code's."""
        try:
            fields: dict[str, Any] = dict(values)
            method = fields.pop("method")
            arguments: dict[str, Any] = {
                key: tuple(value) if isinstance(value, list) else value for key, value in fields.items()
            }
            made = cls(**arguments)
        except (TypeError, ValueError, KeyError) as error:
            raise ArtifactError(
                f"preprocess.json does not describe a detector's input: {error!r} in {values!r}",
                hint="train again, or roll back to a version that is complete",
            ) from error
        if method != _METHOD:
            raise ArtifactError(
                f"preprocess.json asks for the method {method!r}; this version of Aura has {_METHOD!r}",
                hint="serve it with the version of Aura that trained it, or train again",
            )
        return made
