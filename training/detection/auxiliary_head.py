"""A second head that exists in training only: every token of the encoder predicts the garment that it lies on.

A DETR's one-to-one matching gives a handful of positives per photo, so encoder and backbone learn slowly from scratch. A
second, dense assignment on the encoder's output teaches them what is where from the first epochs (Co-DETR, arXiv
2211.12860, section 3.2; the assignment is FCOS's, arXiv 1904.01355, section 3.1, with centre sampling). The head is
left out of the artifact: what is served is the plain DETR.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.ops import generalized_box_iou_loss, sigmoid_focal_loss

_CENTRE = 0.6
"""A token is positive inside the middle part of a box, this share of its width and height."""
_PRIOR_BIAS = -4.6
"""Logit of the focal prior 0.01 (arXiv 1708.02002, section 4.1)."""


class AuxiliaryHead(nn.Module):
    """Loss of dense predictions on encoder tokens.

    Args:
        hidden_size: channels D of a token.
        n_labels: categories C.
        grid: rows and columns of tokens.
    """

    def __init__(self, hidden_size: int, n_labels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = grid
        self.hidden = nn.Sequential(nn.Linear(hidden_size, hidden_size), nn.ReLU())
        self.labels = nn.Linear(hidden_size, n_labels)
        self.distances = nn.Linear(hidden_size, 4)
        nn.init.constant_(self.labels.bias, _PRIOR_BIAS)
        nn.init.constant_(self.distances.bias, -1.5)
        y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
        # Nearest token of a box that is smaller than a cell counts as inside.
        self.register_buffer("centres", torch.stack([x, y], dim=-1).reshape(-1, 2), persistent=False)
        self.register_buffer("cell", torch.tensor([0.5 / columns, 0.5 / rows]), persistent=False)

    def forward(self, tokens_BTD: Tensor, targets: Sequence[dict[str, Tensor]]) -> Tensor:
        """Scalar loss: focal over all tokens plus GIoU over positive ones, both per positive.

        Args:
            tokens_BTD: encoder output, T = rows * columns.
            targets: `class_labels` (M,) int64 and `boxes` (M, 4) cxcywh as fractions of the canvas.
        """
        hidden = self.hidden(tokens_BTD)
        logits = self.labels(hidden).float()
        reach = self.distances(hidden).float().sigmoid()
        guessed = torch.cat([self.centres - reach[..., :2], self.centres + reach[..., 2:]], dim=-1)
        wanted = torch.zeros_like(logits)
        right, true = [], []
        for row, target in enumerate(targets):
            token, box = self._assign(target["boxes"])
            wanted[row, token, target["class_labels"][box]] = 1.0
            right.append(guessed[row, token])
            true.append(_xyxy(target["boxes"][box]))
        found, boxes = torch.cat(right), torch.cat(true)
        positives = max(1, len(found))
        focal = sigmoid_focal_loss(logits, wanted, reduction="sum") / positives
        return focal + generalized_box_iou_loss(found, boxes, reduction="sum") / positives

    def _assign(self, boxes_cxcywh: Tensor) -> tuple[Tensor, Tensor]:
        """Positive tokens and the box of each: the smallest one whose middle part the token lies in."""
        offset = (self.centres[:, None] - boxes_cxcywh[None, :, :2]).abs()
        middle = torch.maximum(boxes_cxcywh[:, 2:] * _CENTRE / 2, self.cell)
        inside = (offset <= middle[None]).all(dim=-1)
        area = boxes_cxcywh[:, 2:].prod(dim=-1)
        smallest = area[None].masked_fill(~inside, torch.inf).min(dim=1) if len(area) else None
        if smallest is None:
            nothing = torch.zeros(0, dtype=torch.long, device=boxes_cxcywh.device)
            return nothing, nothing
        token = inside.any(dim=1).nonzero().squeeze(1)
        return token, smallest.indices[token]


def _xyxy(boxes_cxcywh: Tensor) -> Tensor:
    centre, half = boxes_cxcywh[:, :2], boxes_cxcywh[:, 2:] / 2
    return torch.cat([centre - half, centre + half], dim=1)
