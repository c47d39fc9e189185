"""Settings that every training has: whose it is, how long, on what hardware. Lightning's terms and meanings."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from aura.settings import Section
from aura.tracking import TrackingSettings


class RunSettings(Section):
    """The part of a profile that every training reads besides its own section."""

    profile: str = "sample"
    seed: int = 7
    tracking: TrackingSettings = TrackingSettings()


class TrainerSettings(Section):
    """Every model's settings derive from it."""

    max_epochs: int = Field(default=10, ge=1)
    patience: int = Field(default=10, ge=1, description="validations without improvement before stopping")
    validate_every_epochs: int = Field(default=1, ge=1)
    batch_size: int = Field(default=16, ge=1, description="examples per batch")
    accumulate_batches: int = Field(default=1, ge=1, description="batches per optimizer step")
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    gradient_clip: float = Field(default=1.0, ge=0, description="largest L2 norm of the gradient; 0: off")
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    precision: Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true"] = "32-true"
    num_threads: int = Field(default=0, ge=0, description="CPU threads of torch; 0: as the environment says")
    num_workers: int = Field(default=0, ge=0, description="processes per data loader")

    @model_validator(mode="after")
    def _validated_at_least_once(self) -> Self:
        if self.max_epochs < self.validate_every_epochs:
            raise ValueError(
                f"max_epochs {self.max_epochs} ends before the first validation; "
                f"set validate_every_epochs ({self.validate_every_epochs}) to {self.max_epochs} or less"
            )
        return self
