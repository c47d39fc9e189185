"""The two losses of OutfitTransformer (arXiv 2204.04812): compatibility (section 3.2) and set-wise ranking (section 3.3).

The paper's compatibility loss is focal. Ours is the cross-entropy: a focal loss of gamma 2 asks for scores near 0.5 (Mukhoti et
al., arXiv 2002.09437, section 4), of which neither an order among good outfits nor a probability can be made.

Both are computed in float32, whatever the precision of the network.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def compatibility_loss(logits: Tensor, compatible: Tensor) -> Tensor:
    """Mean cross-entropy in which true outfits weigh as much as all corrupted ones together.

    Args:
        logits: `(B,)`, not probabilities.
        compatible: bool `(B,)`, True for a true outfit, False for a corrupted one.
    """
    losses = functional.binary_cross_entropy_with_logits(logits.float(), compatible.float(), reduction="none")
    kinds = [losses[compatible], losses[~compatible]]
    return torch.stack([kind.mean() for kind in kinds if len(kind)]).mean()


def set_wise_ranking_loss(queries: Tensor, items: Tensor, answer: Tensor, negative: Tensor, *, margin: float) -> Tensor:
    """`L_all + L_hard`: the answer must be nearer to the query than every negative, and than the nearest one, by a margin.

    Deviation: negatives are all allowed items of the batch, not ten sampled ones, and vectors have norm 1.

    Args:
        queries: `(B, E)`, norm 1.
        items: `(N, E)`, norm 1.
        answer: int64 `(B,)`, rows of `items`.
        negative: bool `(B, N)`, True where an item may serve as a negative. Queries without any are left out.
        margin: in L2 distance, which lies in [0, 2].

    Returns:
        Scalar; 0 when no query has a negative.
    """
    distances = torch.cdist(queries.float(), items.float(), compute_mode="donot_use_mm_for_euclid_dist")
    to_answer = distances.gather(1, answer[:, None])
    violation = (to_answer - distances + margin).clamp(min=0) * negative
    count = negative.sum(dim=1)
    has_negatives = count > 0
    every = violation.sum(dim=1) / count.clamp(min=1)
    # The nearest negative is the one that violates most, so no second search is needed.
    hardest = violation.amax(dim=1)
    return ((every + hardest) * has_negatives).sum() / has_negatives.sum().clamp(min=1)
