"""The cache of the catalog's embeddings: what is damaged there is made again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.outfits.catalog_search import _read


@pytest.mark.parametrize("kept", [0, 6, -8])
def test_damaged_embeddings_are_no_embeddings(tmp_path: Path, caplog: pytest.LogCaptureFixture, kept: int) -> None:
    file = tmp_path / "embeddings.npy"
    assert _read(file) is None
    np.save(file, np.ones((3, 4), dtype=np.float32))
    assert np.asarray(_read(file)).shape == (3, 4)
    file.write_bytes(file.read_bytes()[:kept])
    assert _read(file) is None
    assert "are damaged" in caplog.text
