"""Settings that every training shares: profile, duration, hardware. Terms and meanings are Lightning's."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from aura.settings import Section
from aura.tracking import TrackingSettings


class RunSettings(Section):
    """The part of a profile that every training reads besides its own section."""

    profile: str = "sample"
    """Name of the profile; part of the experiment's name."""
    seed: int = 7
    """Seed of initial weights, order, augmentation, and of the questions of an evaluation."""
    tracking: TrackingSettings = TrackingSettings()


class TrainerSettings(Section):
    """Base of every model's training settings."""

    max_epochs: int = Field(default=10, ge=1)
    """Passes over the training split."""
    batches_per_epoch: int | None = Field(default=None, ge=1)
    """Most batches of an epoch, of its own shuffled order; null: the whole training split."""
    patience: int = Field(default=10, ge=1)
    """Validations without improvement before the training stops."""
    validate_every_epochs: int = Field(default=1, ge=1)
    """Epochs from one validation to the next."""
    batch_size: int = Field(default=16, ge=1)
    """Examples per batch."""
    accumulate_batches: int = Field(default=1, ge=1)
    """Batches per optimizer step."""
    learning_rate: float = Field(default=1e-3, gt=0)
    """Peak learning rate of AdamW."""
    warm_start_rate: float = Field(default=0.3, gt=0, le=1)
    """Factor on the learning rate of a training that begins with the champion's weights."""
    weight_decay: float = Field(default=1e-4, ge=0)
    """Weight decay of AdamW (decoupled, times the learning rate)."""
    gradient_clip: float = Field(default=1.0, ge=0)
    """Largest L2 norm of the gradient; 0: no clipping."""
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    """Lightning's accelerator; `auto`: a GPU where there is one."""
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true"] = "32-true"
    """Lightning's precision."""
    num_threads: int = Field(default=0, ge=0)
    """CPU threads of torch; 0: as the environment says."""
    num_workers: int = Field(default=0, ge=0)
    """Processes per data loader; 0: the training's own process loads."""

    @model_validator(mode="after")
    def _validated_at_least_once(self) -> Self:
        if self.max_epochs < self.validate_every_epochs:
            raise ValueError(
                f"max_epochs {self.max_epochs} ends before the first validation; "
                f"set validate_every_epochs ({self.validate_every_epochs}) to {self.max_epochs} or less"
            )
        return self


class AveragedTrainerSettings(TrainerSettings):
    """Of models whose weights may be averaged with the champion's (`training.average`).

    An adapter is no such model: the average of the updates B A of two adapters is not the product of averaged A and B. Exact is
    the update of twice the rank (both adapters, each times the root of its share), and every further night would double it
    again, or need an SVD that is no average any more.
    """

    average_with_champion: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.25, 0.5, 0.75)
    """Shares of the challenger in averages of its weights with those of the champion that it began with. The validation split
    chooses between these and the challenger itself; empty: the challenger itself."""
