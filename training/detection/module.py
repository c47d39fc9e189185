"""LightningModule of the detector: loss, optimiser, schedule, validation by average precision; averaged weights."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.lr_scheduler import OneCycleLR
from transformers import PreTrainedModel

from inference.detection.neck import NECK
from inference.detection.postprocess import rank_candidates
from inference.detection.preprocess import Preprocess
from training.detection.auxiliary_head import AuxiliaryHead
from training.detection.data import Batch
from training.detection.losses import CLASS_TERMS, use_checked_loss
from training.detection.metrics import PrecisionMeter
from training.detection.settings import DetectionSettings

_SHOWN_TERMS = (*CLASS_TERMS, "loss_bbox", "loss_giou")


class DetectionModule(lightning.LightningModule):
    """Any DETR of transformers; its loss comes from transformers, in fp32."""

    def __init__(
        self, model: PreTrainedModel, labels: tuple[str, ...], preprocess: Preprocess, settings: DetectionSettings
    ) -> None:
        super().__init__()
        # Images arrive with channels last; keeping the weights so makes convolutions on a CPU about a third faster.
        # `from_pretrained` hands over a model in evaluation mode, and Lightning leaves the mode as it is.
        self.model = model.to(memory_format=torch.channels_last).train()
        use_checked_loss(self.model, settings.class_weight)
        if settings.tiny.backbone:
            self.model.model.backbone.model.freeze(settings.frozen_stages)
        self._labels, self._preprocess, self._settings = labels, preprocess, settings
        self.auxiliary_head: AuxiliaryHead | None = None
        if settings.auxiliary_weight and not settings.base:
            stride = settings.tiny.out_stride
            grid = (preprocess.height // stride, preprocess.width // stride)
            self.auxiliary_head = AuxiliaryHead(settings.tiny.hidden_size, len(labels), grid)
        self._meter = PrecisionMeter(labels)

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """Scalar fp32 loss.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        output = self.model(pixel_values=self._preprocess.normalise(batch.canvases), labels=batch.targets)
        terms = {f"train/{name}": output.loss_dict[name] for name in _SHOWN_TERMS if name in output.loss_dict}
        loss = output.loss
        if self.auxiliary_head is not None:
            terms["train/loss_auxiliary"] = self.auxiliary_head(output.encoder_last_hidden_state, batch.targets)
            loss = loss + self._settings.auxiliary_weight * terms["train/loss_auxiliary"]
        terms["train/loss"] = loss
        logged = {name: value.detach() for name, value in terms.items()}
        self.log_dict(logged, on_step=False, on_epoch=True, batch_size=len(batch.photos))
        self.log("loss", loss.detach(), prog_bar=True, logger=False, batch_size=len(batch.photos))
        return loss

    def on_validation_epoch_start(self) -> None:
        self._meter = PrecisionMeter(self._labels)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        output = self.model(pixel_values=self._preprocess.normalise(batch.canvases))
        placements = [placement for placement in batch.placements if placement is not None]
        if len(placements) != len(batch.photos):
            raise ValueError("validation photos must not be augmented")
        rankings = rank_candidates(
            output.logits, output.pred_boxes, placements, self._preprocess,
            n_labels=len(self._labels), nms_iou=self._settings.nms_iou,
        )  # fmt: skip
        for ranking, photo in zip(rankings, batch.photos, strict=True):
            self._meter.update(ranking, photo.boxes_xyxy_px, photo.labels)

    def on_validation_epoch_end(self) -> None:
        precision = self._meter.compute()
        self.log_dict({"val/ap50": precision.ap50, "val/ap": precision.ap}, prog_bar=True)
        self.log_dict({f"val/ap50_{label}": value for label, value in precision.ap50_per_label.items()})

    def configure_optimizers(self) -> Any:
        settings = self._settings
        # One kernel instead of 240 small ones per step. Lightning cannot clip gradients that it scales itself if fused.
        fused = settings.precision != "16-mixed"
        optimizer = torch.optim.AdamW(self._parameter_groups(), lr=settings.learning_rate, fused=fused)
        schedule = OneCycleLR(
            optimizer,
            max_lr=[group["lr"] for group in optimizer.param_groups],
            total_steps=int(self.trainer.estimated_stepping_batches),
            pct_start=settings.warmup_fraction,
            cycle_momentum=False,
            div_factor=25,
            final_div_factor=10,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _parameter_groups(self) -> list[dict[str, Any]]:
        """Backbone, neck and rest, each with and without weight decay (none on biases, norms and query embeddings)."""
        groups: dict[tuple[float, bool], list[torch.nn.Parameter]] = {}
        for name, parameter in self.named_parameters():
            if parameter.requires_grad:
                decays = parameter.dim() > 1 and "query_position_embeddings" not in name
                groups.setdefault((self._rate(name), decays), []).append(parameter)
        return [
            {
                "params": parameters,
                "lr": self._settings.learning_rate * rate,
                "weight_decay": self._settings.weight_decay if decays else 0.0,
            }
            for (rate, decays), parameters in groups.items()
        ]

    def _rate(self, name: str) -> float:
        """Factor on the learning rate of the parameter with this name."""
        if "backbone" not in name:
            return 1.0
        neck = not self._settings.base and any(f".{part}." in name for part in NECK)
        return self._settings.neck_rate if neck else self._settings.backbone_rate


class AveragedWeights(WeightAveraging):
    """Exponential moving average of the weights, validated and kept instead of the raw ones.

    The decay rises from 0 as (1 + n) / (10 + n), so that the first validations are not those of the random start.
    """

    def __init__(self, decay: float) -> None:
        def average(averaged: torch.Tensor, current: torch.Tensor, n_averaged: torch.Tensor | int) -> torch.Tensor:
            if not averaged.is_floating_point():
                return current
            n = int(n_averaged)
            return averaged.lerp(current, 1 - min(decay, (1 + n) / (10 + n)))

        super().__init__(avg_fn=average)

    def setup(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, stage: str) -> None:
        # The module reaches its device later; averages on the CPU would cost a copy of all weights every step.
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
