"""Before a release is made, its catalog is embedded and a version that is promoted by hand is tested."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from aura.artifact import content_hash
from aura.errors import WrongAnswerError
from aura.paths import profile_paths
from aura.registry import Registry
from aura.releases import Releases
from aura.taxonomy import Category
from aura.tracking import TrackingSettings
from flows.cli.app import app
from flows.releases import make_release
from inference.outfits.catalog_vectors import CatalogVectors
from inference.outfits.items import item_of
from inference.outfits.model import OutfitModel
from inference.outfits.smoke_test import SMOKE_TEST
from inference.smoke_test import record
from tests.bentos.small_index import SmallIndex
from tests.inference.outfits.conftest import embedder, saved, towers

__all__ = ["embedder", "saved", "towers"]  # fixtures


@pytest.fixture
def registry() -> Registry:
    return Registry(TrackingSettings(), "sample")


@pytest.fixture
def index(tmp_path: Path) -> SmallIndex:
    index = SmallIndex(tmp_path / "built")
    index.publish({"hat": Category.HATS, "shoe": Category.SHOES})
    index.move(profile_paths("sample").index)
    return index


def artifact(saved: Path, target: Path, *, broken: bool = False) -> Path:
    """An outfit model that answers as it recorded, or no longer."""
    folder = Path(shutil.copytree(saved, target))
    record(SMOKE_TEST, folder, "cpu")
    if broken:
        weights = folder / "model.safetensors"
        save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(weights).items()}, weights)
    return folder


def register(registry: Registry, folder: Path) -> str:
    return registry.register("outfits", folder, run_id=None, tags={"candidate_id": content_hash(folder)}).version


def test_services_find_the_vectors_of_a_release_that_is_made(
    registry: Registry, index: SmallIndex, saved: Path, tmp_path: Path
) -> None:
    folder = artifact(saved, tmp_path / "model")
    registry.promote("outfits", register(registry, folder))
    catalog = index.opened().catalog()
    vectors = CatalogVectors(catalog, content_hash(folder))
    assert vectors.kept() is None
    make_release(registry, index.uri, "a night")
    kept = vectors.kept()
    assert kept is not None
    items = [item_of(row, picture) for row, picture in zip(catalog.rows, catalog.pictures(catalog.rows), strict=True)]
    np.testing.assert_allclose(kept, OutfitModel.load(folder).item_vectors(items), atol=1e-5)


def test_a_catalog_that_cannot_be_embedded_stops_no_release(
    registry: Registry, index: SmallIndex, saved: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = artifact(saved, tmp_path / "model", broken=True)
    registry.promote("outfits", register(registry, folder))
    made = make_release(registry, index.uri, "a night")
    assert made.models == {"outfits": "1"}
    assert "the catalog is not embedded ahead" in caplog.text
    assert CatalogVectors(index.opened().catalog(), content_hash(folder)).kept() is None


@pytest.mark.usefixtures("index")
def test_a_version_that_fails_its_smoke_test_is_not_promoted_by_hand(
    registry: Registry, saved: Path, tmp_path: Path
) -> None:
    for version in ("whole", "broken"):
        register(registry, artifact(saved, tmp_path / version, broken=version == "broken"))
    refused = CliRunner().invoke(app, ["models", "promote", "outfits", "2"])
    assert isinstance(refused.exception, WrongAnswerError)
    assert (registry.champions(), Releases(registry).serving()) == ({}, None)
    done = CliRunner().invoke(app, ["models", "promote", "outfits", "1"], catch_exceptions=False)
    assert done.exit_code == 0
    assert registry.champions() == {"outfits": "1"}
    serving = Releases(registry).serving()
    assert serving is not None
    assert (serving.models, serving.index is not None) == ({"outfits": "1"}, True)
