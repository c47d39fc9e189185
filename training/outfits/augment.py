"""How a garment is shown in training: sometimes without its title or its picture, as users send them."""

from __future__ import annotations

import torch
from torch import Tensor

from inference.outfits.towers import ItemTensors
from training.outfits.settings import OutfitsSettings


def show(items: ItemTensors, untitled_text: Tensor, settings: OutfitsSettings) -> ItemTensors:
    """A copy of the items in which some lack what they have. Randomness comes from torch's global generator.

    Args:
        untitled_text: float32 `(N, T)`, `ItemTensors.text` of the items without titles.
    """
    device = items.text.device
    untitled = torch.rand(len(items), device=device) < settings.drop_title_probability
    text = torch.where(untitled[:, None], untitled_text.to(items.text.dtype), items.text)
    hidden = torch.rand(len(items), device=device) < settings.drop_image_probability
    # The title that a picture gives would show what is hidden.
    return ItemTensors(items.image, items.has_image & ~(hidden & ~untitled), text, items.category)
