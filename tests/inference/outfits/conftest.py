"""A tiny untrained outfit model, and garments of every kind to ask it about."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aura.taxonomy import CATEGORIES, Category
from inference.outfits import artifact
from inference.outfits.calibration import Calibration, Weights
from inference.outfits.config import NetworkConfig
from inference.outfits.items import Item
from inference.outfits.model import OutfitModel
from inference.outfits.network import OutfitNetwork
from inference.outfits.term_pairs import TermPairs
from inference.outfits.towers import FrozenTowers
from inference.references import DESCRIPTOR_REFERENCE
from inference.text_embedding import TextEmbedder

TINY = NetworkConfig(
    image_tower=DESCRIPTOR_REFERENCE, image_dim=8, text_dim=8, layers=1, heads=2, feedforward_dim=16, embedding_dim=8
)
CALIBRATION = Calibration(
    titled=Weights(
        network=1.5, words=0.7, categories=0.4, intercept=-0.2, few_slope=0.5, few_shift=0.2, many_slope=2.0
    ),
    untitled=Weights(network=1.2, words=0.1, categories=0.3, intercept=0.1, few_slope=0.8, many_shift=-0.1),
)


def term_pairs() -> TermPairs:
    """Random affinities of some words that titles and pictures give."""
    vocabulary = ("garment", "number", "red", "shirt", "jeans", "white", "sneakers", "top", "hat", "1", "2", "3")
    draws = [torch.randn(size, size, generator=torch.Generator().manual_seed(1)) for size in (len(vocabulary), 12)]
    return TermPairs(vocabulary, *(draw + draw.T for draw in draws))


def photo(seed: int, width: int = 20, height: int = 30) -> Image.Image:
    """A plain colour with some noise: pictures of different seeds look different to any model."""
    rng = np.random.default_rng(seed)
    colour = rng.integers(0, 255, 3)
    noise = rng.integers(-30, 30, (height, width, 3))
    return Image.fromarray(np.clip(colour + noise, 0, 255).astype(np.uint8))


def garments(count: int, first: int = 0) -> list[Item]:
    """Distinct garments of all categories in turn, with picture and title."""
    return [
        Item(f"g{number}", CATEGORIES[number % len(CATEGORIES)], f"garment number {number}", image=photo(number))
        for number in range(first, first + count)
    ]


def untrained(towers: FrozenTowers, config: NetworkConfig = TINY) -> OutfitNetwork:
    """A network of random weights, the same at each call, which has seen some pictures to standardise."""
    torch.manual_seed(0)
    network = OutfitNetwork(config, towers.category_texts(), towers.image_features)
    network.standardise(towers.read(garments(8)).image)
    return network.eval()


@pytest.fixture(scope="session")
def embedder() -> TextEmbedder:
    return TextEmbedder()


@pytest.fixture(scope="session")
def towers(embedder: TextEmbedder) -> FrozenTowers:
    return FrozenTowers(TINY, text=embedder)


@pytest.fixture(scope="session")
def model(towers: FrozenTowers) -> OutfitModel:
    return OutfitModel(untrained(towers), towers, term_pairs(), CALIBRATION)


@pytest.fixture(scope="session")
def saved(towers: FrozenTowers, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifact of the same network as `model`."""
    folder = tmp_path_factory.mktemp("artifact")
    artifact.save(untrained(towers), term_pairs(), CALIBRATION, folder)
    return folder


@pytest.fixture
def own_artifact(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(saved, tmp_path / "own"))


@pytest.fixture(scope="session")
def outfit() -> list[Item]:
    """Five garments: with and without picture, with and without title."""
    return [
        Item("top", Category.TOPS, "red cotton shirt", image=photo(1)),
        Item("bottom", Category.BOTTOMS, "blue jeans", image=photo(2)),
        Item("shoes", Category.SHOES, "white sneakers"),
        Item("bag", Category.BAGS, image=photo(4)),
        Item("hat", Category.HATS),
    ]


@pytest.fixture(scope="session")
def without() -> Callable[[list[Item], int], list[Item]]:
    """The outfit without the garment at a place."""
    return lambda items, place: [item for number, item in enumerate(items) if number != place]
