"""A real index of a few items, with stand-ins for the embedding models; a test publishes as many releases as it wants."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
from PIL import Image

from aura.taxonomy import Category
from inference.retrieval.catalog import read_catalog
from inference.retrieval.chunks import Page
from inference.retrieval.releases import Release, connect, now, publish, read_releases, served_index
from inference.retrieval.search import Index
from inference.retrieval.settings import RetrievalSettings, SearchSettings
from inference.retrieval.sync import sync_table
from inference.retrieval.tables import CATALOG, PICTURE, catalog_source, knowledge_source


class Constant:
    """Embeds everything alike."""

    reference, dim = "constant", 4

    def encode(self, inputs: Sequence[Any]) -> np.ndarray:
        return np.full((len(inputs), self.dim), 0.5, dtype=np.float32)


class SmallIndex:
    """An index in a folder, or at a URI."""

    def __init__(self, folder: Path, uri: str = "") -> None:
        self.uri: Path | str = uri or folder / "index"
        self.catalog_folder = folder / "catalog"
        if uri:
            self._connection = connect(uri)
        else:
            Path(self.uri).mkdir(parents=True)
            self._connection = lancedb.connect(str(self.uri))

    def move(self, uri: Path) -> None:
        """Go on in another folder."""
        uri.parent.mkdir(parents=True)
        self.uri = Path(self.uri).rename(uri)
        self._connection = lancedb.connect(str(uri))

    def publish(
        self,
        items: Mapping[str, Category],
        *,
        colour: str = "navy",
        broken: Sequence[str] = (),
        pictures: bool = True,
        attributes: Mapping[str, Mapping[str, str]] | None = None,
        pages: Sequence[Page] = (),
    ) -> int:
        """Serve a catalog of these items, with the picture `<item_id>.png` in a colour; returns the release's number.

        Args:
            broken: items whose pictures are no pictures.
            attributes: of items by id, where they have some.
            pages: knowledge, which no other release has.
            pictures: False: without the column, as an older Aura built an index.
        """
        (self.catalog_folder / "images").mkdir(parents=True, exist_ok=True)
        rows = []
        for item_id, category in items.items():
            Image.new("RGB", (8, 8), colour).save(self.catalog_folder / "images" / f"{item_id}.png")
            rows.append(
                {
                    "item_id": item_id, "category": category.value, "title": f"Some {category.value}", "description": "",
                    "attributes": dict((attributes or {}).get(item_id, {})), "image": f"images/{item_id}.png",
                }
            )  # fmt: skip
        lines = "".join(f"{json.dumps(row)}\n" for row in rows)
        (self.catalog_folder / "catalog.jsonl").write_text(lines, encoding="utf-8")
        models, settings = Constant(), RetrievalSettings()
        source = catalog_source(read_catalog(self.catalog_folder), self.catalog_folder, models, models)
        sync_table(self._connection, source, settings)
        knowledge = sync_table(self._connection, knowledge_source(pages, 100, models), settings)
        table = self._connection.open_table(CATALOG)
        for item_id in broken:
            table.update(where=f"item_id = '{item_id}'", values={PICTURE: b"broken"})
        if not pictures:
            table.drop_columns([PICTURE])
        number = 1 + max((release.number for release in read_releases(self._connection).values()), default=0)
        release = Release(
            number=number, knowledge_version=knowledge.version, catalog_version=table.version,
            text_embedder="constant", image_embedder="constant", search=SearchSettings(), metrics={}, built_at=now(),
        )  # fmt: skip
        publish(self._connection, release)
        return number

    def opened(self) -> Index:
        """What is served now, as a service in a checkout opens it."""
        served = served_index(self.uri)
        assert served is not None, "this test has published nothing"
        return Index.at(self.uri, served, lambda _: Constant(), lambda _: Constant())
