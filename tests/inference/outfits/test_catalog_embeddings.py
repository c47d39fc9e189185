"""The file of a catalog's vectors: mapped where it is whole and belongs to model and catalog, made again otherwise."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from aura.paths import cache_dir
from aura.taxonomy import Category
from inference.outfits.catalog_vectors import CatalogVectors
from inference.outfits.items import Item
from inference.retrieval.released_catalog import ReleasedCatalog
from tests.bentos.small_index import SmallIndex


class Encoder:
    """Numbers the items that it encodes."""

    def __init__(self) -> None:
        self.encoded = 0

    def item_vectors(self, items: Sequence[Item]) -> np.ndarray:
        first, self.encoded = self.encoded, self.encoded + len(items)
        return np.arange(first, self.encoded, dtype=np.float32)[:, None] * np.ones((1, 4), dtype=np.float32)


@pytest.fixture
def index(tmp_path: Path) -> SmallIndex:
    index = SmallIndex(tmp_path / "built")
    index.publish({"hat": Category.HATS, "shoe": Category.SHOES})
    return index


@pytest.fixture
def catalog(index: SmallIndex) -> ReleasedCatalog:
    return index.opened().catalog()


def made(catalog: ReleasedCatalog, encoder: Encoder, model_hash: str = "model") -> np.ndarray:
    return CatalogVectors(catalog, model_hash).made(encoder)  # type: ignore[arg-type]


def test_what_was_made_once_is_mapped_and_not_made_again(
    catalog: ReleasedCatalog, caplog: pytest.LogCaptureFixture
) -> None:
    encoder = Encoder()
    with caplog.at_level(logging.INFO):
        first = made(catalog, encoder)
        assert "embedding 2 of the catalog's 2 items: none are kept" in caplog.text
        caplog.clear()
        again = made(catalog, encoder)
    assert (encoder.encoded, caplog.text) == (2, "")
    np.testing.assert_array_equal(again, first)
    assert not again.flags.writeable, "it is the file, which other processes read"


def test_vectors_of_another_model_or_catalog_are_not_taken(index: SmallIndex, catalog: ReleasedCatalog) -> None:
    encoder = Encoder()
    made(catalog, encoder)
    made(catalog, encoder, "another")
    assert encoder.encoded == 4
    index.publish({"hat": Category.HATS, "shoe": Category.SHOES}, colour="white")
    assert CatalogVectors(index.opened().catalog(), "model").kept() is None


@pytest.mark.parametrize("kept", [0, 6, -8])
def test_damaged_vectors_are_made_again(catalog: ReleasedCatalog, caplog: pytest.LogCaptureFixture, kept: int) -> None:
    made(catalog, Encoder())
    [file] = (cache_dir() / "catalog-vectors").iterdir()
    file.write_bytes(file.read_bytes()[:kept])
    assert CatalogVectors(catalog, "model").kept() is None
    assert "are damaged" in caplog.text
    made(catalog, encoder := Encoder())
    assert encoder.encoded == 2


@pytest.mark.parametrize("wrong", [np.ones((3, 4), dtype=np.float32), np.ones((2, 4)), np.ones(2, dtype=np.float32)])
def test_a_file_without_a_vector_per_item_is_not_taken(
    catalog: ReleasedCatalog, caplog: pytest.LogCaptureFixture, wrong: np.ndarray
) -> None:
    made(catalog, Encoder())
    [file] = (cache_dir() / "catalog-vectors").iterdir()
    np.save(file, wrong)
    assert CatalogVectors(catalog, "model").kept() is None
    assert "does not hold a vector per item" in caplog.text
