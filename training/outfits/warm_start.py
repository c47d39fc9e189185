"""Begin an outfit training with the champion's weights."""

from __future__ import annotations

import warnings
from pathlib import Path

from aura.errors import ArtifactError
from inference.outfits import artifact
from inference.outfits.network import OutfitNetwork


def load_champion(network: OutfitNetwork, champion_dir: Path | None) -> bool:
    """Put the champion's weights into a fresh network of the same architecture; a warning says why when they do not fit.

    Returns:
        Whether the champion's weights are in the network.
    """
    if champion_dir is None:
        return False
    fresh = {name: weight.clone() for name, weight in network.state_dict().items()}
    try:
        config = artifact.read_config(champion_dir)
        if config != network.config:
            raise ArtifactError(f"its architecture is {config}, the settings ask for {network.config}")
        artifact.load_weights(network, champion_dir)
    except ArtifactError as error:
        # A failed load may have replaced a part of the weights.
        network.load_state_dict(fresh)
        warnings.warn(f"training from scratch, not from the champion in {champion_dir}: {error.message}", stacklevel=2)
        return False
    return True
