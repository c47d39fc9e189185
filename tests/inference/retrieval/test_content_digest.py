"""The hash of a table: over all its rows and pictures, without all pictures in memory at once."""

from __future__ import annotations

import hashlib
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.table import Table

from inference.retrieval.integrity import content_digest
from inference.retrieval.tables import PICTURE

ITEMS, PICTURE_BYTES, DIM = 600, 20_000, 4


def a_table(folder: Path, order: np.ndarray, changed: int = -1) -> Table:
    """A catalog whose rows are stored in an order."""
    generator = np.random.default_rng(0)
    pictures = [generator.bytes(PICTURE_BYTES) for _ in range(ITEMS)]
    if changed >= 0:
        pictures[changed] = pictures[changed][:-1] + b"?"
    rows = pa.table(
        {
            "item_id": [f"item-{number}" for number in order],
            PICTURE: pa.array([pictures[number] for number in order], pa.binary()),
            "vector": pa.array([[float(number)] * DIM for number in order], pa.list_(pa.float32(), DIM)),
        }
    )
    return lancedb.connect(folder).create_table("catalog", rows)


def as_published(table: Table) -> str:
    """The digest as releases carry it."""
    rows = sorted(table.to_arrow().to_pylist(), key=lambda row: row["item_id"])
    content = b"item_id\0"
    for row in rows:
        content += len(row["item_id"]).to_bytes(8, "big") + row["item_id"].encode()
    content += PICTURE.encode() + b"\0"
    content += b"".join(len(row[PICTURE]).to_bytes(8, "big") + row[PICTURE] for row in rows)
    content += b"vector\0" + np.array([row["vector"] for row in rows], dtype=np.float32).tobytes()
    return hashlib.sha256(content).hexdigest()


def test_the_digest_is_of_all_rows_whatever_their_order(tmp_path: Path) -> None:
    table = a_table(tmp_path / "a", np.arange(ITEMS))
    digest = content_digest(table, "item_id")
    assert digest == as_published(table)
    assert digest == content_digest(a_table(tmp_path / "b", np.arange(ITEMS)[::-1]), "item_id")
    assert digest != content_digest(a_table(tmp_path / "c", np.arange(ITEMS), changed=ITEMS - 1), "item_id")


def test_pictures_are_never_all_in_memory(tmp_path: Path) -> None:
    table = a_table(tmp_path, np.random.default_rng(1).permutation(ITEMS))
    usual = pa.default_memory_pool()
    counted = pa.proxy_memory_pool(usual)
    pa.set_memory_pool(counted)
    try:
        content_digest(table, "item_id")
    finally:
        pa.set_memory_pool(usual)
    assert counted.max_memory() < ITEMS * PICTURE_BYTES / 2
