"""The two tables: their schemas, their rows, and the hash that decides whether a row is embedded again.

A catalog row holds the bytes of its picture, so that a release of the index is the whole catalog: whoever reads it needs no
folder that a night may be rewriting.

`content_hash` covers everything a row was made from: texts, fields, the picture's bytes, the references of the
embedding models, the versions of weights and libraries, and the format below. So a changed page, a changed picture and
another model are one and the same case, and a build that was killed between two models still knows which rows it has done.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lancedb.index import FTS

from aura.errors import DataError
from aura.prepared_rows import CatalogRow
from inference.image_encoder import ImageEncoder
from inference.retrieval.catalog import open_picture
from inference.retrieval.chunks import FACETS, Page, cut_page

FloatArray = npt.NDArray[np.float32]
Row = dict[str, Any]
Columns = FloatArray | list[bytes]
"""Vectors (N, D), or N files."""

FORMAT = 3
"""Raise it when columns, the search text, the preparation of images or the full-text index change: every row is then
written again."""

KNOWLEDGE, CATALOG = "knowledge", "catalog"
SEARCH_TEXT = "search_text"
TEXT_VECTOR, IMAGE_VECTOR = "vector", "image_vector"
PICTURE = "picture"
"""Column with the bytes of an item's picture file."""
FULL_TEXT = FTS(language="English", stem=True, remove_stop_words=True, ascii_folding=True, with_position=False)


class TextEmbedderLike(Protocol):
    """The part of `inference.text_embedding.TextEmbedder` that the index uses."""

    @property
    def reference(self) -> str: ...

    @property
    def dim(self) -> int: ...

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (N, dim), each row of length 1."""
        ...


@dataclass(frozen=True, kw_only=True)
class TableSource:
    """The content of a table after a build.

    `rows` have every column but those that `embed` adds for the rows that are written: the vectors, and an item's picture.
    """

    name: str
    key: str
    schema: pa.Schema
    rows: Sequence[Row]
    embed: Callable[[Sequence[Row]], Mapping[str, Columns]]

    @property
    def vector_columns(self) -> list[str]:
        return [field.name for field in self.schema if pa.types.is_fixed_size_list(field.type)]


def knowledge_source(
    pages: Sequence[Page], max_words: int, embedder: TextEmbedderLike, made_with: str = ""
) -> TableSource:
    """Chunks of all pages.

    Args:
        made_with: hash of the versions with which vectors and indices are made; another one means that every row is made again.

    Raises:
        DataError: two chunks would have one id (two pages whose names differ only in what an id leaves out).
    """
    rows: list[Row] = []
    for page in pages:
        for chunk in cut_page(page, max_words):
            row = {
                "chunk_id": chunk.chunk_id,
                "slug": page.slug,
                "title": page.title,
                "heading": chunk.heading,
                "text": chunk.text,
                **{name: getattr(page, name) for name in FACETS},
                SEARCH_TEXT: chunk.search_text,
            }
            rows.append(row | {"content_hash": _hash(row, embedder.reference, made_with)})
    _refuse_duplicates(rows, "chunk_id")
    return TableSource(
        name=KNOWLEDGE,
        key="chunk_id",
        schema=_schema(["chunk_id", "slug", "title", "heading", "text", *FACETS], {TEXT_VECTOR: embedder.dim}),
        rows=rows,
        embed=lambda batch: {TEXT_VECTOR: embedder.encode([row[SEARCH_TEXT] for row in batch])},
    )


def catalog_source(
    items: Sequence[CatalogRow],
    folder: Path,
    text_embedder: TextEmbedderLike,
    image_embedder: ImageEncoder,
    made_with: str = "",
) -> TableSource:
    """Catalog items; attributes are stored as JSON because each source has its own. `made_with`: see `knowledge_source`.

    Raises:
        DataError: a picture vanished; from `embed`: a picture is broken.
    """
    rows: list[Row] = []
    for item in items:
        row = {
            "item_id": item.item_id,
            "category": item.category.value,
            "title": item.title,
            "description": item.description,
            "attributes": json.dumps(item.attributes, sort_keys=True, ensure_ascii=False),
            "image": item.image,
            SEARCH_TEXT: item.search_text,
        }
        picture = hashlib.sha256((folder / item.image).read_bytes()).hexdigest()
        models = (text_embedder.reference, image_embedder.reference)
        rows.append(row | {"content_hash": _hash(row, picture, *models, made_with)})
    _refuse_duplicates(rows, "item_id")

    def embed(batch: Sequence[Row]) -> Mapping[str, Columns]:
        return {
            TEXT_VECTOR: text_embedder.encode([row[SEARCH_TEXT] for row in batch]),
            IMAGE_VECTOR: image_embedder.encode([open_picture(folder / row["image"]) for row in batch]),
            PICTURE: [(folder / row["image"]).read_bytes() for row in batch],
        }

    columns = ["item_id", "category", "title", "description", "attributes", "image"]
    dims = {TEXT_VECTOR: text_embedder.dim, IMAGE_VECTOR: image_embedder.dim}
    schema = _schema(columns, dims).append(pa.field(PICTURE, pa.binary()))
    return TableSource(name=CATALOG, key="item_id", schema=schema, rows=rows, embed=embed)


def embedded(source: TableSource, batch: Sequence[Row]) -> pa.Table:
    """The rows with what `embed` adds, ready to be written.

    Raises:
        ValueError: an embedder returned vectors of another shape, or one that is not finite.
    """
    columns: dict[str, pa.Array] = {}
    added = source.embed(batch)
    for field in source.schema:
        if field.name not in source.vector_columns:
            values = added[field.name] if field.name in added else [row[field.name] for row in batch]
            columns[field.name] = pa.array(values, type=field.type)
            continue
        matrix = np.ascontiguousarray(added[field.name], dtype=np.float32)
        expected = (len(batch), field.type.list_size)
        if matrix.shape != expected or not np.isfinite(matrix).all():
            raise ValueError(f"{source.name}.{field.name}: expected finite vectors {expected}, got {matrix.shape}")
        columns[field.name] = pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), field.type.list_size)
    return pa.table(columns, schema=source.schema)


def _schema(columns: Sequence[str], vectors: Mapping[str, int]) -> pa.Schema:
    texts = [pa.field(name, pa.string()) for name in (*columns, SEARCH_TEXT, "content_hash")]
    return pa.schema(texts + [pa.field(name, pa.list_(pa.float32(), dim)) for name, dim in vectors.items()])


def _hash(row: Row, *sources: str) -> str:
    content = json.dumps([FORMAT, row, *sources], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def _refuse_duplicates(rows: Sequence[Row], key: str) -> None:
    seen: set[str] = set()
    for row in rows:
        if row[key] in seen:
            raise DataError(f"two rows have the {key} {row[key]!r}", hint="rename one of the two headings or items")
        seen.add(row[key])
