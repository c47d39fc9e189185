"""Train the detector: best checkpoint by AP50 on the validation split, thresholds, artifact, plots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from aura.taxonomy import Category
from inference.detection.artifact import LabelRules, save_artifact
from inference.detection.detector import Detector
from inference.detection.postprocess import Ranking
from inference.detection.preprocess import Preprocess
from training.average import State, best_average, copy_of
from training.context import TrainContext
from training.detection.calibrate import best_thresholds, match, precision_recall
from training.detection.coco import Photo, read_photo, read_split
from training.detection.data import DetectionData
from training.detection.engines import export_engines
from training.detection.evaluate import average_precision, rank_photos
from training.detection.int8 import CALIBRATION_PHOTOS
from training.detection.metrics import Precision
from training.detection.module import AveragedWeights, DetectionModule
from training.detection.plots import draw_all
from training.detection.settings import DetectionSettings
from training.detection.warm_start import InitialModel, initial_model
from training.device import training_device
from training.trainer import best_checkpoint, build_trainer, resume_path

_SHOWN_WITHOUT_THRESHOLDS = 0.5


def train(settings: DetectionSettings, context: TrainContext) -> dict[str, float]:
    """Train, or resume, and write the artifact and the plots; see `training.context.TrainContext`.

    Returns:
        `ap50` and `ap` on the validation split, and precision and recall at the thresholds chosen there.

    Raises:
        DataError: the prepared data is missing or broken.
        SettingsError: `settings.base` cannot be loaded.
        FloatingPointError: the loss is not finite.
    """
    callbacks: list[Callback] = [AveragedWeights(settings.ema_decay)] if settings.ema_decay else []
    # Seeds everything, so it comes before the first random weight.
    trainer = build_trainer(settings, context, monitor="val/ap50", mode="max", callbacks=callbacks)
    photos, labels = read_split(context.data_dir, "val")
    initial = initial_model(settings, labels, context.base_dir)
    data = DetectionData(
        context.data_dir, initial.preprocess, settings.augment, batch_size=settings.batch_size,
        num_workers=settings.num_workers, seed=context.view_seed, cache=settings.cache_images,
    )  # fmt: skip
    champion = copy_of(initial.model) if initial.warm_started and settings.average_with_champion else None
    module = DetectionModule(initial.model, labels, initial.preprocess, _rate_for(initial, settings))
    trainer.fit(module, datamodule=data, ckpt_path=resume_path(context))
    return _finish(settings, context, trainer, initial, photos, champion)


def _rate_for(initial: InitialModel, settings: DetectionSettings) -> DetectionSettings:
    """A full learning rate would undo what the champion has learnt."""
    if not initial.warm_started:
        return settings
    return settings.model_copy(update={"learning_rate": settings.learning_rate * settings.warm_start_rate})


def _finish(
    settings: DetectionSettings,
    context: TrainContext,
    trainer: lightning.Trainer,
    initial: InitialModel,
    photos: Sequence[Photo],
    champion: State | None,
) -> dict[str, float]:
    """Artifact, metrics and plots of the best checkpoint, or of its best average with the champion."""
    checkpoint = torch.load(best_checkpoint(trainer), map_location="cpu", weights_only=True)
    prefix = "model."
    weights: State = {
        name.removeprefix(prefix): value for name, value in checkpoint["state_dict"].items() if name.startswith(prefix)
    }
    labels = tuple(
        Category(str(initial.model.config.id2label[index])) for index in range(initial.model.config.num_labels)
    )
    names = tuple(label.value for label in labels)
    rules = LabelRules(labels=labels, thresholds=(_SHOWN_WITHOUT_THRESHOLDS,) * len(labels), nms_iou=settings.nms_iou)
    device = training_device(settings)

    def ranked(state: State) -> list[Ranking]:
        initial.model.load_state_dict(state)
        return rank_photos(Detector(initial.model, initial.preprocess, rules, device), photos)

    def ap50(state: State) -> float:
        return average_precision(ranked(state), photos, names).ap50

    if champion is not None:
        weights = best_average(
            champion, weights, settings.average_with_champion, metric="ap50", validate=ap50, out_dir=context.out_dir
        )
    rankings = ranked(weights)
    matches = match(rankings, photos, len(labels))
    thresholds = best_thresholds(matches, settings.min_precision)
    save_artifact(
        context.out_dir, initial.model, initial.preprocess,
        LabelRules(labels=labels, thresholds=thresholds, nms_iou=settings.nms_iou),
    )  # fmt: skip
    precision: Precision = average_precision(rankings, photos, names)
    export_engines(
        context.out_dir,
        precision.ap50,
        lambda served: average_precision(rank_photos(served, photos), photos, names).ap50,
        _canvases(context.data_dir, initial.preprocess),
    )
    draw_all(context.plots_dir, Detector.load(context.out_dir, device), photos, precision)
    shown, found = precision_recall(matches, thresholds)
    return {"ap50": precision.ap50, "ap": precision.ap, "precision_served": shown, "recall_served": found}


def _canvases(data_dir: Path, preprocess: Preprocess) -> list[np.ndarray]:
    """Of photos for training, evenly from among them all."""
    photos, _ = read_split(data_dir, "train")
    chosen = np.linspace(0, len(photos) - 1, min(len(photos), CALIBRATION_PHOTOS), dtype=int)
    return [preprocess.place(read_photo(photos[index]))[0] for index in chosen]
