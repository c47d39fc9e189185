"""How every training builds its Lightning Trainer: checkpoints, resume, early stopping, seeds, progress, history.

A run that was killed and resumed ends with the same weights as one that was not: `last.ckpt` is written after every
epoch, and everything random is derived from (seed, epoch, batch).
"""

from __future__ import annotations

import csv
import errno
import logging
import math
import random
import sys
import time
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch.utils.data import Sampler

from aura.artifact import sync
from training.context import TrainContext
from training.settings import TrainerSettings

BEST, LAST, BEFORE_LAST = "best.ckpt", "last.ckpt", "before-last.ckpt"

_IGNORED_WARNINGS = (
    ".*does not have many workers.*",  # images are cached in memory, so there is nothing to wait for
    ".*number of training batches.*is smaller than the logging interval.*",
    ".*Checkpoint directory .* exists and is not empty.*",  # left by a killed training
    ".*could not find the monitored key.*",  # the checkpoint of an epoch without validation; a later one has it
    ".*isinstance.treespec, LeafSpec.*",
)


class EpochShuffle(Sampler[int]):
    """Shuffled indices whose order depends on (seed, epoch) alone; `SeedEachBatch` calls `set_epoch`.

    Args:
        epoch: the first epoch, `resumed_epoch(...)` of the data module: workers read ahead before the callback of a
            resumed epoch runs.
    """

    def __init__(self, n: int, seed: int, epoch: int = 0) -> None:
        self._n, self._seed, self._epoch = n, seed, epoch

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self._seed, self._epoch))
        return iter(generator.permutation(self._n).tolist())


def resumed_epoch(data: lightning.LightningDataModule) -> int:
    """Epoch that the loaders of a data module begin with: not 0 when a training is resumed."""
    # Not `current_epoch`: until the loop starts, it lags one behind in a resumed training.
    return int(data.trainer.fit_loop.epoch_progress.current.processed) if data.trainer is not None else 0


class SeedEachBatch(Callback):
    """Derives everything random from (seed, epoch, batch), so that a resumed training equals an unbroken one.

    A seed per epoch is not enough: what Lightning draws between the start of an epoch and its first batch differs after a
    resume. Data loading runs ahead of the batches, so augmentation must derive its randomness from (seed, epoch, index).
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        # Lightning tells samplers the epoch as well, but not batch samplers that are not distributed.
        loader = trainer.train_dataloader
        for name in ("sampler", "batch_sampler"):
            set_epoch = getattr(getattr(loader, name, None), "set_epoch", None)
            if set_epoch is not None:
                set_epoch(trainer.current_epoch)

    def on_train_batch_start(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        sequence = np.random.SeedSequence((self._seed, trainer.current_epoch, batch_idx))
        seed = int(sequence.generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)


class PatientStopping(EarlyStopping):
    """Early stopping that a resume does not forget: Lightning keeps the count in the checkpoint, but not that it stopped."""

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True


class FiniteLoss(Callback):
    """Stops a training whose loss is no longer a number, and reports every logged metric."""

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if loss is not None and not math.isfinite(float(loss)):
            metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
            raise FloatingPointError(
                f"loss is {float(loss)} at epoch {trainer.current_epoch}, batch {batch_idx}: {metrics}"
            )


class History(Callback):
    """Writes one CSV row per validation: epoch, step, seconds since the start, every logged metric.

    What was logged over a training epoch is known only after the validation inside it, and is added at its end.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: list[dict[str, float]] = []
        self._began = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self._rows, "seconds": time.monotonic() - self._began}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._rows = state_dict["rows"]
        self._began = time.monotonic() - state_dict["seconds"]
        self._write()  # a training that was killed after its last epoch has nothing more to add

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        row = {"epoch": float(trainer.current_epoch), "step": float(trainer.global_step)}
        row["seconds"] = round(time.monotonic() - self._began, 1)
        self._rows.append(row | {k: float(v) for k, v in trainer.callback_metrics.items() if not _of_training(k)})
        self._write()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if self._rows and self._rows[-1]["epoch"] == trainer.current_epoch:
            self._rows[-1] |= {k: float(v) for k, v in trainer.callback_metrics.items() if _of_training(k)}
            self._write()

    def _write(self) -> None:
        if not self._rows:
            return
        columns = list(dict.fromkeys(name for row in self._rows for name in row))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self._rows)


class AtomicCheckpoints(TorchCheckpointIO):
    """Writes each checkpoint atomically, and keeps the `last` checkpoint before the newest.

    Lightning writes in place, so a kill leaves half a file, and does not sync, so a power cut may leave an empty one.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        target, part = Path(path), Path(f"{path}.part")
        super().save_checkpoint(checkpoint, part, storage_options)
        sync(part)
        if target.name == LAST and target.is_file():
            target.replace(target.with_name(BEFORE_LAST))
        part.replace(target)
        sync(target.parent)


class MovableCheckpoint(ModelCheckpoint):
    """Checkpoints in a folder that may have been moved since: Lightning records their absolute paths, and would look there."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return str(Path(self.dirpath or "") / Path(path).name) if path else path

        names = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: here(state_dict[name]) for name in names if name in state_dict}
        best = {here(path): score for path, score in state_dict.get("best_k_models", {}).items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": best, "dirpath": self.dirpath})


def _of_training(metric: str) -> bool:
    return metric.startswith("train/") or metric == "loss"


def build_trainer(
    settings: TrainerSettings,
    context: TrainContext,
    *,
    monitor: str,
    mode: Literal["min", "max"],
    callbacks: Sequence[Callback] = (),
) -> lightning.Trainer:
    """Trainer that seeds, checkpoints each validated epoch (best by `monitor`, and last), stops early and logs.

    Fit with `trainer.fit(module, datamodule=..., ckpt_path=resume_path(context))`.
    """
    for message in _IGNORED_WARNINGS:
        warnings.filterwarnings("ignore", message)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    if settings.num_threads:
        torch.set_num_threads(settings.num_threads)
    lightning.seed_everything(context.seed, workers=True, verbose=False)
    # At the end of the epoch, not of the validation inside it: only then is the epoch counted as done. Two callbacks,
    # because `save_last` of the first would follow its `save_top_k` and write nothing when an epoch is no improvement.
    saving = {"dirpath": context.checkpoint_dir, "enable_version_counter": False, "save_on_train_epoch_end": True}
    best = MovableCheckpoint(filename="best", monitor=monitor, mode=mode, save_top_k=1, **saving)
    last = MovableCheckpoint(filename="last", **saving)
    return lightning.Trainer(
        max_epochs=settings.max_epochs,
        limit_train_batches=settings.batches_per_epoch,
        check_val_every_n_epoch=settings.validate_every_epochs,
        accumulate_grad_batches=settings.accumulate_batches,
        gradient_clip_val=settings.gradient_clip or None,
        accelerator=settings.accelerator,
        devices=1,
        precision=settings.precision,
        logger=context.tracker.lightning_logger(),
        plugins=[AtomicCheckpoints()],
        callbacks=[
            best,
            last,
            PatientStopping(monitor, mode=mode, patience=settings.patience),
            SeedEachBatch(context.seed),
            FiniteLoss(),
            History(context.plots_dir / "history.csv"),
            TQDMProgressBar(refresh_rate=10),
            *callbacks,
        ],
        num_sanity_val_steps=0,
        log_every_n_steps=10,
        enable_model_summary=False,
        default_root_dir=context.checkpoint_dir,
    )


def resume_path(context: TrainContext) -> Path | None:
    """Readable checkpoint of an earlier attempt, or None: then the training starts from the beginning.

    An unreadable file is renamed to `<name>.damaged`: a person can look at it, and later attempts ignore it. So is a last
    checkpoint without the best one, from which the artifact is made.
    """
    best, last, older = (context.checkpoint_dir / name for name in (BEST, LAST, BEFORE_LAST))
    has_best = _readable(best)
    for path in (last, older):
        if _readable(path):
            if has_best or not _refers_to_best(path):
                return path
            _set_aside(path)
    _set_aside(best)
    return None


def _refers_to_best(path: Path) -> bool:
    """Whether a training had validated at least once when it wrote this checkpoint."""
    callbacks = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["callbacks"].values()
    return any(state.get("monitor") and state.get("best_model_path") for state in callbacks)


_PASSING_ERRORS = (errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EACCES)
"""Of opening a file: they say nothing about what is in it."""


def _readable(path: Path) -> bool:
    """Whether a checkpoint is whole; a damaged one is set aside."""
    if not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:  # as torch writes it; every part has a checksum
            whole = archive.testzip() is None
        # Mapped, not read: too little memory must not look like damage.
        torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except MemoryError:
        raise
    except OSError as error:
        if error.errno in _PASSING_ERRORS:
            raise
        whole = False
    except Exception:  # whatever both make of damaged bytes: UnicodeDecodeError, NotImplementedError, RuntimeError...
        whole = False
    if not whole:
        _set_aside(path)
    return whole


def _set_aside(path: Path) -> None:
    if path.is_file():
        aside = path.with_name(f"{path.name}.damaged")
        path.replace(aside)
        print(f"warning: the checkpoint {path} cannot be read or used; it is now {aside.name}", file=sys.stderr)


def best_checkpoint(trainer: lightning.Trainer) -> Path:
    """Checkpoint with the best monitored value.

    Raises:
        ValueError: the training never validated, so that no checkpoint exists.
    """
    callback = trainer.checkpoint_callback
    path = getattr(callback, "best_model_path", "")
    if not path:
        raise ValueError("no best checkpoint: the training ended before its first validation")
    return Path(path)
