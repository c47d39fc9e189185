"""LightningModule of OutfitTransformer (arXiv 2204.04812).

The paper trains compatibility first and then fine-tunes a copy for retrieval with harder negatives. Here both losses are
minimised together in one network, with the curriculum on the negatives: an artifact must answer both kinds of request, and
on a few hundred outfits the tasks help each other more than either needs to be trained alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from aura.taxonomy import Category, category_id
from inference.outfits.model import pad_members
from inference.outfits.network import OutfitNetwork
from inference.outfits.towers import ItemTensors
from training.outfits.augment import show
from training.outfits.corruptions import CORRUPTIONS
from training.outfits.data import ItemTable, OutfitBatch
from training.outfits.losses import compatibility_loss, set_wise_ranking_loss
from training.outfits.metrics import area_under_roc, fitb_choices, fitb_choices_by_query, mean, right
from training.outfits.negatives import Outfits, blank_out, corrupt, thin_out, wrong_answers
from training.outfits.questions import QuestionSet
from training.outfits.settings import OutfitsSettings

MONITOR = "val/fitb_both"
_ITEMS_PER_BATCH = 256
_VALIDATION_SEED = 20_220_412


class OutfitModule(lightning.LightningModule):
    """Losses, validation metrics and optimizer.

    Args:
        network: with fresh weights, or with the champion's.
        table: tensors of all items of the validation questions.
        question_set: questions about the validation split.
        warm_started: the weights come from a champion, so the learning rate is scaled down.
    """

    def __init__(
        self,
        network: OutfitNetwork,
        settings: OutfitsSettings,
        table: ItemTable,
        question_set: QuestionSet,
        *,
        warm_started: bool,
    ) -> None:
        super().__init__()
        self.network = network
        self._settings, self._table, self._question_set, self._warm_started = (
            settings,
            table,
            question_set,
            warm_started,
        )

    def training_step(self, batch: OutfitBatch, batch_index: int) -> Tensor:
        shown = show(batch.items, batch.untitled_text, self._settings)
        outfits = thin_out(batch.outfits, self._settings.partial_probability)
        hard = self.current_epoch >= self._settings.easy_fraction * self._settings.max_epochs
        losses = self._losses(shown, outfits, hard=hard)
        self._log_losses("train", losses, len(outfits))
        return losses["loss"]

    def validation_step(self, batch: OutfitBatch, batch_index: int) -> None:
        # The same corruptions every time, without touching the generator that training draws from.
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(_VALIDATION_SEED + batch_index)
            losses = self._losses(batch.items, batch.outfits, hard=True)
        self._log_losses("val", losses, len(batch.outfits))

    def on_validation_epoch_end(self) -> None:
        for name, value in self.question_metrics().items():
            self.log(f"val/{name}", value, prog_bar=f"val/{name}" == MONITOR, sync_dist=True)

    def question_metrics(self) -> dict[str, float]:
        """Metrics of the network as it stands, on the validation questions with titles and without.

        `fitb_both` is the mean of `fitb` and `fitb_untitled`: users send garments of both kinds.
        """
        self.network.eval()
        hard, easy = self._question_set.fitb["same_category"], self._question_set.fitb["random"]
        outfits, true = self._question_set.against("same_category")
        metrics: dict[str, float] = {}
        for suffix, tensors in (("", self._table.tensors), ("_untitled", self._table.untitled())):
            model = CachedNetwork(self.network, tensors, self._table.row, self.device)
            metrics |= {
                f"fitb{suffix}": mean(right(fitb_choices(model, hard), hard)),
                f"fitb_by_query{suffix}": mean(right(fitb_choices_by_query(model, hard), hard)),
                f"fitb_random{suffix}": mean(right(fitb_choices(model, easy), easy)),
                f"auc{suffix}": area_under_roc(model.score(outfits), true),
            }
        return metrics | {"fitb_both": (metrics["fitb"] + metrics["fitb_untitled"]) / 2}

    def configure_optimizers(self) -> OptimizerLRScheduler:
        settings = self._settings
        rate = settings.learning_rate * (settings.warm_start_rate if self._warm_started else 1)
        # Gains, biases and tokens have nothing to gain from being pulled to zero.
        decayed = [weight for weight in self.network.parameters() if weight.ndim > 1]
        free = [weight for weight in self.network.parameters() if weight.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": free, "weight_decay": 0.0}], lr=rate
        )
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        warmup = max(1, round(settings.warmup_fraction * steps))

        def factor(step: int) -> float:
            if step < warmup:
                return (step + 1) / (warmup + 1)
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}

    def _losses(self, items: ItemTensors, outfits: Outfits, *, hard: bool) -> dict[str, Tensor]:
        """`loss` and its terms; `hard` asks for ranking negatives of the answer's own category (section 3.3)."""
        settings = self._settings
        vectors = self.network.encode_items(items)
        compatibility = self._compatibility(vectors, items.category, outfits)
        ranking = self._ranking(vectors, items.category, outfits, hard=hard)
        loss = compatibility + settings.ranking_weight * ranking
        return {"loss": loss, "compatibility": compatibility, "ranking": ranking}

    def _ranking(self, vectors: Tensor, category: Tensor, outfits: Outfits, *, hard: bool) -> Tensor:
        """Ranking loss of one blank per outfit; 0 where every outfit is a single garment."""
        blanks = blank_out(outfits, len(vectors))
        if not len(blanks.answer):
            # Attention refuses an empty batch.
            return vectors.new_zeros(())
        context = blanks.context
        return set_wise_ranking_loss(
            self.network.queries(vectors, context.members, context.present, category[blanks.answer]),
            self.network.item_embeddings(vectors),
            blanks.answer,
            wrong_answers(blanks, category, same_category=hard),
            margin=self._settings.margin,
        )

    def _compatibility(self, vectors: Tensor, category: Tensor, outfits: Outfits) -> Tensor:
        """Cross-entropy over the outfits and a corruption of each kind."""
        members, present = [outfits.members], [outfits.present]
        for kind in CORRUPTIONS:
            corrupted, changed = corrupt(outfits, category, kind)
            members.append(corrupted.members[changed])
            present.append(corrupted.present[changed])
        logits = self.network.compatibility_logits(vectors, torch.cat(members), torch.cat(present))
        compatible = torch.zeros_like(logits, dtype=torch.bool)
        compatible[: len(outfits)] = True
        return compatibility_loss(logits, compatible)

    def _log_losses(self, stage: str, losses: dict[str, Tensor], size: int) -> None:
        values: dict[str, Any] = {f"{stage}/{name}": value.detach() for name, value in losses.items()}
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)


class CachedNetwork:
    """A network in training with items cached in memory.

    Args:
        row: item id to its row of the tensors.
    """

    def __init__(
        self, network: OutfitNetwork, tensors: ItemTensors, row: Mapping[str, int], device: torch.device
    ) -> None:
        self._network, self._device, self._row = network, device, row
        self._vectors = self._encode(tensors)

    @torch.inference_mode()
    def _encode(self, tensors: ItemTensors) -> Tensor:
        rows = torch.arange(len(tensors)).split(_ITEMS_PER_BATCH)
        return torch.cat([self._network.encode_items(tensors.take(some).to(self._device)) for some in rows])

    @torch.inference_mode()
    def score(self, outfits: Sequence[Sequence[str]]) -> np.ndarray:
        members, present = pad_members([[self._row[item] for item in outfit] for outfit in outfits], self._device)
        return self._network.compatibility_logits(self._vectors, members, present).float().cpu().numpy()

    @torch.inference_mode()
    def queries(self, contexts: Sequence[Sequence[str]], targets: Sequence[Category]) -> np.ndarray:
        members, present = pad_members([[self._row[item] for item in context] for context in contexts], self._device)
        wanted = torch.tensor([category_id(target) for target in targets], device=self._device)
        return self._network.queries(self._vectors, members, present, wanted).float().cpu().numpy()

    @torch.inference_mode()
    def embed(self, items: Sequence[str]) -> np.ndarray:
        rows = torch.tensor([self._row[item] for item in items], device=self._device)
        return self._network.item_embeddings(self._vectors[rows]).float().cpu().numpy()
