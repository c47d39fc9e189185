"""How a garment is shown in training: mirrored, moved and zoomed a little, sometimes without title or picture.

Colours are never changed: which colours go together is what the model is to learn.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from inference.outfits.towers import ItemTensors
from training.outfits.settings import OutfitsSettings


def show(items: ItemTensors, category_texts: Tensor, settings: OutfitsSettings) -> ItemTensors:
    """Augmented copy of the items. Randomness comes from torch's global generator."""
    device = items.text.device
    untitled = torch.rand(len(items), device=device) < settings.drop_title_probability
    text = torch.where(untitled[:, None], category_texts[items.category].to(items.text.dtype), items.text)
    hidden = torch.rand(len(items), device=device) < settings.drop_image_probability
    image = _moved(items.image, settings.shift) if items.image.ndim == 4 else items.image
    return ItemTensors(image, items.has_image & ~hidden, text, items.category)


def _moved(image: Tensor, shift: float) -> Tensor:
    """Mirrored, shifted and zoomed by up to `shift` of the side; uint8 `(N, 3, S, S)` in, float32 in [0, 255] out."""
    n, device = len(image), image.device
    mirror = torch.randint(0, 2, (n,), device=device) * 2.0 - 1
    zoom = 1 + (torch.rand(n, device=device) * 2 - 1) * shift
    move = (torch.rand(n, 2, device=device) * 2 - 1) * 2 * shift
    matrix = torch.zeros(n, 2, 3, device=device)
    matrix[:, 0, 0], matrix[:, 1, 1], matrix[:, :, 2] = mirror * zoom, zoom, move
    grid = functional.affine_grid(matrix, list(image.shape), align_corners=False)
    # What moves in from outside continues the white ground, or the photo where it reaches its edge.
    return functional.grid_sample(image.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
