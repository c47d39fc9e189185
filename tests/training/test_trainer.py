"""The shared Trainer: a killed and resumed training ends with the weights of an unbroken one."""

from __future__ import annotations

import csv
import errno
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from aura.artifact import read_json
from aura.tracking import LocalTracker
from training.context import TrainContext
from training.settings import TrainerSettings
from training.trainer import AtomicCheckpoints, EpochShuffle, best_checkpoint, build_trainer, resume_path, resumed_epoch


class Line(lightning.LightningModule):
    """Linear regression with dropout, so that the random state matters."""

    def __init__(self, broken: bool = False) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.broken = broken

    def training_step(self, batch: list[Tensor], _index: int) -> Tensor:
        loss = (self.net(batch[0]) - batch[1]).square().mean()
        self.log("train/loss", loss, on_epoch=True)
        return loss * float("nan") if self.broken else loss

    def validation_step(self, batch: list[Tensor], _index: int) -> None:
        self.log("val/loss", (self.net(batch[0]) - batch[1]).square().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.parameters(), lr=0.01)


class Data(lightning.LightningDataModule):
    def __init__(self, workers: int = 0) -> None:
        super().__init__()
        self.workers = workers
        generator = torch.Generator().manual_seed(0)
        inputs = torch.randn(32, 3, generator=generator)
        self.rows = TensorDataset(inputs, inputs.sum(1, keepdim=True))

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(
            self.rows, batch_size=8, sampler=EpochShuffle(32, seed=5, epoch=resumed_epoch(self)),
            num_workers=self.workers, persistent_workers=self.workers > 0,
        )  # fmt: skip

    def val_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.rows, batch_size=32)


class Killed(lightning.Callback):
    """Ends the process's work in the middle of an epoch, as a signal would."""

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        if trainer.current_epoch == 2 and trainer.global_step % 4 == 2:
            raise KeyboardInterrupt


def context(folder: Path) -> TrainContext:
    for name in ("out", "checkpoints", "plots"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return TrainContext(
        data_dir=folder, out_dir=folder / "out", checkpoint_dir=folder / "checkpoints", plots_dir=folder / "plots",
        base_dir=None, tracker=LocalTracker(folder), seed=3,
    )  # fmt: skip


def fit(
    folder: Path, *callbacks: lightning.Callback, broken: bool = False, workers: int = 0
) -> tuple[lightning.Trainer, Line]:
    where = context(folder)
    settings = TrainerSettings(max_epochs=4, accelerator="cpu")
    trainer = build_trainer(settings, where, monitor="val/loss", mode="min", callbacks=callbacks)
    module = Line(broken)
    trainer.fit(module, datamodule=Data(workers), ckpt_path=resume_path(where), weights_only=False)
    return trainer, module


@pytest.mark.parametrize("workers", [0, 2])
def test_resumed_equals_unbroken(tmp_path: Path, workers: int) -> None:
    _, whole = fit(tmp_path / "whole", workers=workers)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path / "cut", Killed(), workers=workers)
    assert resume_path(context(tmp_path / "cut")) is not None
    trainer, resumed = fit(tmp_path / "cut", workers=workers)
    assert trainer.current_epoch == 4
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    whole_rows, resumed_rows = history(tmp_path / "whole"), history(tmp_path / "cut")
    assert [row["epoch"] for row in resumed_rows] == ["0.0", "1.0", "2.0", "3.0"]
    for whole_row, resumed_row in zip(whole_rows, resumed_rows, strict=True):
        assert {k: v for k, v in whole_row.items() if k != "seconds"} == {
            k: v for k, v in resumed_row.items() if k != "seconds"
        }
    assert best_checkpoint(trainer).is_file()


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "plots" / "history.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_a_training_killed_after_its_last_epoch_writes_its_history_again(tmp_path: Path) -> None:
    fit(tmp_path)
    before = history(tmp_path)
    (tmp_path / "plots" / "history.csv").unlink()
    fit(tmp_path)
    assert history(tmp_path) == before


class NoBetter(Line):
    """A model whose monitored loss never improves."""

    def validation_step(self, batch: list[Tensor], _index: int) -> None:
        self.log("val/loss", float(self.current_epoch))


def test_the_last_epoch_is_kept_also_when_it_is_no_improvement(tmp_path: Path) -> None:
    where = context(tmp_path)
    trainer = build_trainer(TrainerSettings(max_epochs=3, accelerator="cpu"), where, monitor="val/loss", mode="min")
    trainer.fit(NoBetter(), datamodule=Data())
    last = resume_path(where)
    assert last is not None
    assert torch.load(last, weights_only=False)["epoch"] == 2
    assert torch.load(best_checkpoint(trainer), weights_only=False)["epoch"] == 0


class BetterAgainLater(Line):
    """Three epochs without improvement, then one."""

    def validation_step(self, batch: list[Tensor], _index: int) -> None:
        self.log("val/loss", float([1, 2, 3, 4, 0, 0, 0, 0][self.current_epoch]))


def test_a_training_that_stopped_early_does_not_train_on_when_it_is_resumed(tmp_path: Path) -> None:
    def run() -> lightning.Trainer:
        where = context(tmp_path)
        settings = TrainerSettings(max_epochs=8, patience=2, accelerator="cpu")
        trainer = build_trainer(settings, where, monitor="val/loss", mode="min")
        trainer.fit(BetterAgainLater(), datamodule=Data(), ckpt_path=resume_path(where), weights_only=False)
        return trainer

    first = run()
    assert first.current_epoch == 3
    again = run()
    assert again.current_epoch == 3
    assert best_checkpoint(again) == best_checkpoint(first)


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(tmp_path)
    where = resume_path(context(tmp_path))
    assert where is not None
    before = where.read_bytes()

    def cut_off(_checkpoint: object, path: object) -> None:
        Path(str(path)).write_bytes(b"the first half of a")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lightning.fabric.plugins.io.torch_io._atomic_save", cut_off)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpoints().save_checkpoint({"epoch": 9}, where)
    assert where.read_bytes() == before


def test_what_was_logged_in_training_stands_in_the_row_of_its_epoch(tmp_path: Path) -> None:
    fit(tmp_path)
    rows = history(tmp_path)
    assert len(rows) == 4
    assert all(row["train/loss_epoch"] and row["val/loss"] for row in rows)


def test_a_loss_that_is_no_number_stops_with_its_metrics(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"loss is nan at epoch 0, batch 0: .*train/loss"):
        fit(tmp_path, broken=True)


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    sampler, same_seed = EpochShuffle(50, seed=1), EpochShuffle(50, seed=1)
    first = list(sampler)
    assert sorted(first) == list(range(50))
    sampler.set_epoch(1)
    assert list(sampler) != first
    same_seed.set_epoch(1)
    assert list(sampler) == list(same_seed)
    assert list(EpochShuffle(50, seed=2)) != first


def test_settings_that_never_validate_are_refused() -> None:
    with pytest.raises(ValueError, match="max_epochs 1 ends before the first validation"):
        TrainerSettings(max_epochs=1, validate_every_epochs=2)


def test_tracking_off_writes_lightnings_csv(tmp_path: Path) -> None:
    fit(tmp_path)
    assert (tmp_path / "csv" / "version_0" / "metrics.csv").is_file()
    with pytest.raises(Exception, match="missing"):
        read_json(tmp_path / "metrics.json", "metrics")


def damage(path: Path, kind: str) -> None:
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(
        {
            "empty": b"",
            "cut": content[:middle],
            "zeros": content[:middle] + bytes(64) + content[middle + 64 :],
            "names": content[:-60] + bytes(40) + content[-20:],
        }[kind]
    )


@pytest.mark.parametrize("kind", ["empty", "cut", "zeros", "names"])
@pytest.mark.parametrize("damaged", [("last.ckpt",), ("last.ckpt", "before-last.ckpt"), ("best.ckpt",)])
def test_a_damaged_checkpoint_is_set_aside_and_the_training_ends_as_an_unbroken_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damaged: tuple[str, ...], kind: str
) -> None:
    _, whole = fit(tmp_path / "whole")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path / "cut", Killed())
    folder = tmp_path / "cut" / "checkpoints"
    for name in damaged:
        damage(folder / name, kind)
    trainer, resumed = fit(tmp_path / "cut")
    assert trainer.current_epoch == 4
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    assert torch.load(best_checkpoint(trainer), weights_only=False)["epoch"] >= 0
    said = capsys.readouterr().err
    for name in damaged:
        assert (folder / f"{name}.damaged").is_file()
        assert f"{name}.damaged" in said


def test_a_training_without_a_validation_so_far_is_resumed(tmp_path: Path) -> None:
    where = context(tmp_path)
    settings = TrainerSettings(max_epochs=6, validate_every_epochs=4, accelerator="cpu")
    trainer = build_trainer(settings, where, monitor="val/loss", mode="min", callbacks=[Killed()])
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        trainer.fit(Line(), datamodule=Data())
    assert not (where.checkpoint_dir / "best.ckpt").exists()
    assert resume_path(where) == where.checkpoint_dir / "last.ckpt"


@pytest.mark.parametrize("error", [MemoryError(), OSError(errno.EMFILE, "Too many open files")])
def test_a_passing_fault_sets_no_checkpoint_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    fit(tmp_path)

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("training.trainer.torch.load", fail)
        with pytest.raises(type(error)):
            resume_path(context(tmp_path))
    assert resume_path(context(tmp_path)) == tmp_path / "checkpoints" / "last.ckpt"


def test_a_training_whose_folder_was_moved_meanwhile_ends_as_an_unbroken_one(tmp_path: Path) -> None:
    _, whole = fit(tmp_path / "whole")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path / "before" / "cut", Killed())
    (tmp_path / "before").rename(tmp_path / "after")
    trainer, resumed = fit(tmp_path / "after" / "cut")
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    assert best_checkpoint(trainer).parent == tmp_path / "after" / "cut" / "checkpoints"
    assert not (tmp_path / "before").exists()


def test_a_moved_training_that_never_improves_again_still_has_its_best_checkpoint(tmp_path: Path) -> None:
    def run(folder: Path, epochs: int) -> lightning.Trainer:
        where = context(folder)
        trainer = build_trainer(
            TrainerSettings(max_epochs=epochs, accelerator="cpu"), where, monitor="val/loss", mode="min"
        )
        trainer.fit(NoBetter(), datamodule=Data(), ckpt_path=resume_path(where), weights_only=False)
        return trainer

    run(tmp_path / "before", 2)
    (tmp_path / "before").rename(tmp_path / "after")
    best = best_checkpoint(run(tmp_path / "after", 4))
    assert best == tmp_path / "after" / "checkpoints" / "best.ckpt"
    assert torch.load(best, weights_only=False)["epoch"] == 0


@pytest.mark.parametrize("missing", [("best.ckpt",), ("best.ckpt", "last.ckpt"), ("last.ckpt",)])
def test_a_missing_checkpoint_is_made_again(tmp_path: Path, missing: tuple[str, ...]) -> None:
    _, whole = fit(tmp_path / "whole")
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fit(tmp_path / "cut", Killed())
    for name in missing:
        (tmp_path / "cut" / "checkpoints" / name).unlink()
    trainer, resumed = fit(tmp_path / "cut")
    assert best_checkpoint(trainer).is_file()
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
