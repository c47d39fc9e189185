"""Box-aware augmentation of a cached photo: mirror, zoom and shift, stretch, colour.

A single resampling makes the canvas. All randomness comes from the generator that the caller derives
from (seed, epoch, index), so that a resumed epoch sees what the interrupted one saw.
"""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from inference.detection.preprocess import Preprocess
from training.detection.settings import AugmentSettings

_LUMA = np.array([0.299, 0.587, 0.114])


def augment(
    photo: Image.Image,
    boxes_xyxy_px: np.ndarray,
    preprocess: Preprocess,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random view of an upright RGB photo.

    Returns:
        Canvas (height, width, 3) uint8; boxes (M, 4) xyxy in canvas px, clipped; indices (M,) of the input boxes kept.
    """
    window = _window(photo.width, photo.height, preprocess, settings, rng)
    mirrored = rng.random() < settings.mirror
    canvas = _view(_recolour(photo, settings, rng), window, preprocess)
    scale = np.array([preprocess.width / (window[2] - window[0]), preprocess.height / (window[3] - window[1])] * 2)
    boxes = (boxes_xyxy_px - np.array([window[0], window[1]] * 2)) * scale
    if mirrored:
        canvas = canvas[:, ::-1]
        boxes = boxes[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1]) + np.array([preprocess.width, 0, preprocess.width, 0])
    clipped = np.clip(boxes, 0, np.array([preprocess.width, preprocess.height] * 2))
    visible = _area(clipped) / np.maximum(_area(boxes), 1e-9)
    kept = np.flatnonzero(visible >= settings.min_visible)
    return np.ascontiguousarray(canvas), clipped[kept], kept


def _window(
    width: int, height: int, preprocess: Preprocess, settings: AugmentSettings, rng: np.random.Generator
) -> tuple[float, float, float, float]:
    """Rectangle of the photo (left, top, right, bottom in px, may reach outside) that will fill the canvas."""
    fit = min(preprocess.width / width, preprocess.height / height)
    zoom = math.exp(rng.uniform(math.log(1 - settings.zoom_out), math.log(1 + settings.zoom_in)))
    aspect = math.exp(rng.uniform(-1, 1) * math.log(1 + settings.stretch) / 2)
    view_width = preprocess.width / (fit * zoom * aspect)
    view_height = preprocess.height / (fit * zoom / aspect)
    left = _offset(width, view_width, rng)
    top = _offset(height, view_height, rng)
    return left, top, left + view_width, top + view_height


def _offset(size: float, view: float, rng: np.random.Generator) -> float:
    """Start of a view on one axis: inside the photo when it is smaller than the photo, around it when larger."""
    return rng.uniform(min(0.0, size - view), max(0.0, size - view))


def _view(photo: Image.Image, window: tuple[float, float, float, float], preprocess: Preprocess) -> np.ndarray:
    left, top, right, bottom = window
    scale_x, scale_y = preprocess.width / (right - left), preprocess.height / (bottom - top)
    inner = (max(left, 0.0), max(top, 0.0), min(right, photo.width), min(bottom, photo.height))
    x0, x1 = round((inner[0] - left) * scale_x), round((inner[2] - left) * scale_x)
    y0, y1 = round((inner[1] - top) * scale_y), round((inner[3] - top) * scale_y)
    canvas = preprocess.empty_canvas()
    if x1 > x0 and y1 > y0:
        canvas[y0:y1, x0:x1] = np.asarray(photo.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box=inner))
    return canvas


def _recolour(photo: Image.Image, settings: AugmentSettings, rng: np.random.Generator) -> Image.Image:
    """Brightness, contrast, saturation and hue as one 3x4 colour matrix, which Pillow applies in C."""
    brightness, contrast, saturation = 1 + rng.uniform(-1, 1, 3) * settings.brightness
    angle = math.radians(rng.uniform(-1, 1) * settings.hue_degrees)
    if not settings.brightness and not settings.hue_degrees:
        return photo
    grey = np.tile(_LUMA, (3, 1))
    matrix = brightness * contrast * (grey + saturation * (_hue_rotation(angle) - grey))
    offset = 128.0 * (1 - contrast)
    return photo.convert("RGB", tuple(np.column_stack([matrix, np.full(3, offset)]).ravel().tolist()))


def _hue_rotation(angle: float) -> np.ndarray:
    """Rotation of RGB around the grey axis by an angle in radians (Rodrigues' formula), (3, 3)."""
    axis = np.full(3, 1 / math.sqrt(3))
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)


def _area(boxes_xyxy: np.ndarray) -> np.ndarray:
    return np.prod(np.maximum(boxes_xyxy[:, 2:] - boxes_xyxy[:, :2], 0), axis=1)
