"""Settings of the outfit training. Defaults are the sample profile; `paper` is arXiv 2204.04812, section 4.1."""

from __future__ import annotations

from pydantic import Field

from inference.outfits.config import NetworkConfig
from training.settings import AveragedTrainerSettings


class OutfitsSettings(AveragedTrainerSettings):
    """How the outfit model is trained and evaluated."""

    network: NetworkConfig = NetworkConfig()
    max_epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=20, ge=1)
    """Validations without improvement before the training stops: the metrics stay at chance for the first epochs."""
    batch_size: int = Field(default=32, ge=2)
    """Outfits per batch; negatives come from the same batch (paper: 50)."""
    learning_rate: float = Field(default=2e-3, gt=0)
    """Peak learning rate (paper: 1e-5, for pretrained towers)."""
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Share of all optimizer steps in which the learning rate rises; then a cosine to zero."""

    ranking_weight: float = Field(default=0.1, ge=0)
    """Weight of the ranking loss beside the compatibility loss."""
    margin: float = Field(default=0.3, gt=0, lt=2)
    """Margin of the ranking loss, an L2 distance of unit vectors (paper: 2, on unbounded vectors)."""
    easy_fraction: float = Field(default=0.5, ge=0, le=1)
    """Share of the epochs, from the first, with ranking negatives of any category; then they share the answer's."""

    partial_probability: float = Field(default=0.3, ge=0, le=1)
    """Probability that an outfit is shown without some of its items."""
    drop_title_probability: float = Field(default=0.4, ge=0, le=1)
    """Probability that an item is shown with the title that its picture gives. If titles are nearly always shown, nothing is
    learnt of pictures."""
    drop_image_probability: float = Field(default=0.1, ge=0, le=1)
    """Probability that an item with a title is shown without its image."""

    max_questions: int = Field(default=2000, ge=10)
    """Most fill-in-the-blank questions of one kind in a validation or evaluation."""
