"""Settings of the outfit training. Defaults are the sample profile; `paper` is arXiv 2204.04812, section 4.1."""

from __future__ import annotations

from pydantic import Field

from inference.outfits.config import NetworkConfig
from training.settings import TrainerSettings


class OutfitsSettings(TrainerSettings):
    """How the outfit model is trained and evaluated."""

    network: NetworkConfig = NetworkConfig()
    max_epochs: int = Field(default=12, ge=1)
    patience: int = Field(default=12, ge=1, description="chance level lasts for some epochs before the rules are found")
    batch_size: int = Field(
        default=16, ge=2, description="outfits per step; negatives come from the same batch (paper: 50)"
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="peak; the paper's 1e-5 is for pretrained towers")
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1, description="share of all steps, then cosine to zero")
    warm_start_rate: float = Field(default=0.3, gt=0, le=1, description="factor on the learning rate from a champion")

    focal_alpha: float = Field(default=0.5, ge=0, le=1, description="weight of true outfits against corrupted ones")
    focal_gamma: float = Field(default=2.0, ge=0, description="paper: 2")
    corruptions: int = Field(default=2, ge=1, description="corrupted outfits per true one (paper: 1)")
    ranking_weight: float = Field(
        default=0.1, ge=0, description="of the ranking loss: at chance level it is ten times the focal loss"
    )
    margin: float = Field(default=0.3, gt=0, lt=2, description="on unit vectors (paper: 2 on unbounded ones)")
    easy_fraction: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="share of the epochs with negatives of any category, before those of the same",
    )

    partial_probability: float = Field(default=0.3, ge=0, le=1, description="outfits shown without some of their items")
    drop_title_probability: float = Field(default=0.1, ge=0, le=1, description="items shown without title")
    drop_image_probability: float = Field(default=0.1, ge=0, le=1, description="items shown without picture")
    shift: float = Field(
        default=0.08, ge=0, lt=0.5, description="largest shift and zoom of a picture, share of its side"
    )

    max_questions: int = Field(default=2000, ge=10, description="most fill-in-the-blank questions of one kind")
