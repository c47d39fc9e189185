"""Averages of champion and challenger weights as further candidates (WiSE-FT, arXiv 2109.01903, section 3).

A fine-tuned network and the one that it began from lie in one basin, so that weights between the two are a network as well,
which often does better than either. `alpha` is the challenger's share; 1 is the challenger itself. Which share becomes the
candidate is decided on the validation split; the gate then judges the candidate like any other.

Running statistics of normalisation layers are averaged with the weights. Estimated again on training photos they changed AP50 of
the small detector by 0.003 at most, either way (docs/benchmarks/gate.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from training.average_record import AverageRecord

State = Mapping[str, torch.Tensor]


def copy_of(network: torch.nn.Module) -> State:
    """The weights and statistics of a network as they are now."""
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}


def average(champion: State, challenger: State, alpha: float) -> State:
    """(1 - alpha) champion + alpha challenger; counters are the challenger's.

    Raises:
        ValueError: they are not the same tensors.
    """
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in (champion, challenger)]
    if shapes[0] != shapes[1]:
        differing = sorted(name for name in shapes[0] | shapes[1] if shapes[0].get(name) != shapes[1].get(name))
        raise ValueError(f"weights of different networks have no average; {', '.join(differing[:5])} differ")
    return {
        name: champion[name].to(tensor).lerp(tensor, alpha) if tensor.is_floating_point() else tensor
        for name, tensor in challenger.items()
    }


def best_average(
    champion: State, challenger: State, alphas: Sequence[float], *,
    metric: str, validate: Callable[[State], float], out_dir: Path,
) -> State:  # fmt: skip
    """The average that does best on the validation split, recorded in `out_dir`; the challenger itself where none does better.

    Args:
        alphas: shares of the challenger, besides 1.
        metric: what `validate` measures, higher is better.
    """
    values = {alpha: validate(average(champion, challenger, alpha)) for alpha in sorted({*alphas, 1.0}, reverse=True)}
    best = max(values, key=lambda alpha: values[alpha])  # of equals the first: the largest share
    AverageRecord(alpha=best, metric=metric, validation={f"{alpha:g}": value for alpha, value in values.items()}).write(
        out_dir
    )
    return average(champion, challenger, best)
