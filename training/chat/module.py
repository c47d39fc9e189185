"""The LightningModule of the chat model: loss on answers or choices, checkpoints that hold the adapter alone."""

from __future__ import annotations

from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from peft import PeftModel
from torch import Tensor

from inference.chat.scoring import TokenBatch, answer_nats
from training.chat.choices import choice_loss
from training.chat.data import ChatBatch


class ChatModule(lightning.LightningModule):
    """Trains what requires a gradient in `model`; logs `train/loss` and `val/loss` in nats per answer token or per choice."""

    def __init__(self, model: PeftModel, *, learning_rate: float, weight_decay: float, warmup_fraction: float) -> None:
        super().__init__()
        self.model = model
        self._learning_rate, self._weight_decay, self._warmup_fraction = learning_rate, weight_decay, warmup_fraction
        # The base is not in the checkpoint, so a strict load would miss it.
        self.strict_loading = False

    def training_step(self, batch: ChatBatch, batch_idx: int) -> Tensor:
        loss, size = self._loss(batch)
        self.log("train/loss", loss, on_step=True, on_epoch=False, prog_bar=True, batch_size=size)
        return loss

    def validation_step(self, batch: ChatBatch, batch_idx: int) -> None:
        loss, size = self._loss(batch)
        # Weighted by its tokens or choices, so that the mean over batches is the mean over all of them.
        self.log("val/loss", loss, prog_bar=True, batch_size=size, sync_dist=True)

    def _loss(self, batch: ChatBatch) -> tuple[Tensor, int]:
        """Mean nats, and over how many tokens or choices."""
        if isinstance(batch, TokenBatch):
            return answer_nats(self.model, batch).sum() / batch.answer_tokens, batch.answer_tokens
        return choice_loss(answer_nats(self.model, batch.tokens).sum(dim=1), batch), batch.groups

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW; linear warm-up, then linear to zero at the last planned step."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=self._learning_rate, weight_decay=self._weight_decay)
        total = int(self.trainer.estimated_stepping_batches)
        warmup = max(1, round(total * self._warmup_fraction))

        def share(step: int) -> float:
            return min((step + 1) / warmup, max(0.0, (total - step) / max(1, total - warmup)))

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The adapter alone: the frozen base is where its reference says."""
        return {name: value.detach() for name, value in self.named_parameters() if value.requires_grad}
