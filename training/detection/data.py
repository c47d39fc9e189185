"""Photos on the canvas, augmented for training and plain for validation, and their loaders."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from aura.errors import DataError
from inference.detection.preprocess import Placement, Preprocess
from training.detection.augment import augment
from training.detection.coco import Photo, read_photo, read_split
from training.detection.settings import AugmentSettings
from training.trainer import EpochShuffle, resumed_epoch

_CACHE_MARGIN = 1.3
"""Cached photos are this much larger than the canvas, so that zooming in shows more and not only larger pixels."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One photo on the canvas.

    Attributes:
        canvas: (height, width, 3) uint8.
        boxes_cxcywh_norm: (M, 4) float32, fractions of the canvas.
        labels: (M,) int64.
        placement: where an unaugmented photo lies; None after augmentation.
    """

    photo: Photo
    canvas: np.ndarray
    boxes_cxcywh_norm: np.ndarray
    labels: np.ndarray
    placement: Placement | None


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Canvases (B, height, width, 3) uint8, targets as transformers' DETR losses want them, and the photos.

    `targets[i]` holds `class_labels` (M,) int64 and `boxes` (M, 4) float32 cxcywh as fractions of the canvas.
    """

    canvases: torch.Tensor
    targets: list[dict[str, torch.Tensor]]
    photos: list[Photo]
    placements: list[Placement | None]

    def pin_memory(self) -> Batch:
        return self._mapped(lambda tensor: tensor.pin_memory())

    def to(self, device: torch.device) -> Batch:
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=True))

    def _mapped(self, move: Any) -> Batch:
        targets = [{name: move(value) for name, value in target.items()} for target in self.targets]
        return Batch(canvases=move(self.canvases), targets=targets, photos=self.photos, placements=self.placements)


class PlainPhotos(Dataset[Sample]):
    """Photos exactly as serving sees them; indices are positions."""

    def __init__(self, photos: Sequence[Photo], preprocess: Preprocess, *, cache: bool) -> None:
        self._photos, self._preprocess, self._keep = photos, preprocess, cache
        self._placed: dict[int, tuple[np.ndarray, Placement]] = {}

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, index: int) -> Sample:
        photo = self._photos[index]
        canvas, placement = self._placed.get(index) or self._preprocess.place(read_photo(photo))
        if self._keep:
            self._placed[index] = canvas, placement
        boxes = placement.to_canvas(photo.boxes_xyxy_px)
        return Sample(
            photo=photo, canvas=canvas, boxes_cxcywh_norm=to_cxcywh_norm(boxes, self._preprocess),
            labels=photo.labels, placement=placement,
        )  # fmt: skip


class AugmentedPhotos(Dataset[Sample]):
    """Random views of the photos; indices are (epoch, position) pairs, which with the seed decide the view."""

    def __init__(
        self, photos: Sequence[Photo], preprocess: Preprocess, settings: AugmentSettings, *, seed: int, cache: bool
    ) -> None:
        self._photos, self._preprocess, self._settings = photos, preprocess, settings
        self._seed, self._keep = seed, cache
        self._cached: dict[int, Image.Image] = {}

    def __len__(self) -> int:
        return len(self._photos)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        epoch, index = key
        photo, image = self._photos[index], self._reduced(index)
        scale = np.array([image.width / photo.width, image.height / photo.height] * 2)
        canvas, boxes, kept = augment(
            image, photo.boxes_xyxy_px * scale, self._preprocess, self._settings,
            np.random.default_rng((self._seed, epoch, index)),
        )  # fmt: skip
        return Sample(
            photo=photo, canvas=canvas, boxes_cxcywh_norm=to_cxcywh_norm(boxes, self._preprocess),
            labels=photo.labels[kept], placement=None,
        )  # fmt: skip

    def _reduced(self, index: int) -> Image.Image:
        """Photo at the cache's size: the same pixels in every epoch, cached or not."""
        if index in self._cached:
            return self._cached[index]
        image = read_photo(self._photos[index])
        fit = min(self._preprocess.width / image.width, self._preprocess.height / image.height) * _CACHE_MARGIN
        if fit < 1:
            size = (max(1, round(image.width * fit)), max(1, round(image.height * fit)))
            image = image.resize(size, Image.Resampling.BILINEAR)
        if self._keep:
            self._cached[index] = image
        return image


class EpochIndices(EpochShuffle):
    """Shuffled (epoch, position) pairs: data loader workers learn the epoch from the index itself."""

    def __iter__(self) -> Iterator[Any]:
        return ((self._epoch, index) for index in super().__iter__())


def to_cxcywh_norm(boxes_xyxy_px: np.ndarray, preprocess: Preprocess) -> np.ndarray:
    """Boxes (N, 4) in canvas px -> (N, 4) float32 cxcywh as fractions of the canvas."""
    side = np.array([preprocess.width, preprocess.height], dtype=np.float64)
    low, high = boxes_xyxy_px[:, :2] / side, boxes_xyxy_px[:, 2:] / side
    return np.concatenate([(low + high) / 2, high - low], axis=1).astype(np.float32)


def collate(samples: Sequence[Sample]) -> Batch:
    """Samples -> one batch; see `Batch` for shapes."""
    return Batch(
        canvases=torch.from_numpy(np.stack([sample.canvas for sample in samples])),
        targets=[
            {
                "class_labels": torch.from_numpy(np.array(sample.labels)),
                "boxes": torch.from_numpy(np.array(sample.boxes_cxcywh_norm)),
            }
            for sample in samples
        ],
        photos=[sample.photo for sample in samples],
        placements=[sample.placement for sample in samples],
    )


class DetectionData(lightning.LightningDataModule):
    """Train and validation loaders over `DATA/detection`."""

    def __init__(
        self, data_dir: Path, preprocess: Preprocess, augmentation: AugmentSettings, *,
        batch_size: int, num_workers: int, seed: int, cache: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        train, self.labels = read_split(data_dir, "train")
        val, val_labels = read_split(data_dir, "val")
        if val_labels != self.labels:
            raise DataError(
                f"the splits disagree on the categories: train {self.labels}, val {val_labels}", hint="prepare again"
            )
        if cache and num_workers:
            warnings.warn(
                f"detection.cache_images is off: each of the {num_workers} workers would fill a cache of its own",
                stacklevel=2,
            )
            cache = False
        self.train_set = AugmentedPhotos(train, preprocess, augmentation, seed=seed, cache=cache)
        self.val_set = PlainPhotos(val, preprocess, cache=cache)
        self._batch_size, self._num_workers, self._seed = batch_size, num_workers, seed

    def train_dataloader(self) -> DataLoader[Sample]:
        return DataLoader(
            self.train_set,
            batch_size=self._batch_size,
            sampler=EpochIndices(len(self.train_set), self._seed, resumed_epoch(self)),
            # Batch statistics of a last batch of one or two photos would disturb the normalisation layers.
            drop_last=len(self.train_set) > self._batch_size,
            collate_fn=collate,
            num_workers=self._num_workers,
            persistent_workers=self._num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def val_dataloader(self) -> DataLoader[Sample]:
        return DataLoader(
            self.val_set, batch_size=self._batch_size, collate_fn=collate, num_workers=self._num_workers,
            persistent_workers=self._num_workers > 0, pin_memory=torch.cuda.is_available(),
        )  # fmt: skip
