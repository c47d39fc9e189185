"""What an outfit model makes of the items of a catalog, computed once per model and catalog.

Whoever makes a release has it computed first (`flows.embedded_catalog`), so that services only map the file when they switch. A
file is named by the content of both, the model's artifact and the catalog's items: that of another model or catalog is not found.
"""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from aura.lineage import value_hash
from aura.paths import cache_dir
from inference.outfits.items import item_of
from inference.retrieval.released_catalog import ReleasedCatalog

if TYPE_CHECKING:  # who only asks whether the file is there needs no torch
    from inference.outfits.model import OutfitModel

_BATCH = 64
KEPT = 8
"""Files that the cache keeps, the newest: a release and the one before, of champion and challenger or of two profiles."""
logger = logging.getLogger(__name__)


class CatalogVectors:
    """The vectors of one catalog by one model; the file need not be there yet.

    Args:
        model_hash: content hash of the model's artifact. Not its version or folder: every Bento has its champion in the same
            folder, and all share one cache.
    """

    def __init__(self, catalog: ReleasedCatalog, model_hash: str) -> None:
        self._catalog = catalog
        self._file = cache_dir() / "catalog-vectors" / f"{value_hash([model_hash, catalog.hashes])[:32]}.npy"

    def kept(self) -> np.ndarray | None:
        """float32 (N, D) in the order of the catalog's rows, mapped from the file; None where it is missing or damaged."""
        try:
            if not self._file.is_file():
                return None
            # As a plain array: it stays mapped, and is not wrapped again for each row.
            vectors = np.asarray(np.load(self._file, mmap_mode="r"))
        except (OSError, ValueError, EOFError) as error:
            logger.warning("made again: the vectors of the catalog in %s are damaged: %s", self._file, error)
            return None
        if vectors.dtype != np.float32 or vectors.ndim != 2 or len(vectors) != len(self._catalog.rows):
            logger.warning("made again: %s does not hold a vector per item of the catalog", self._file)
            return None
        return vectors

    def made(self, model: OutfitModel, known: dict[str, np.ndarray] | None = None) -> np.ndarray:
        """float32 (N, D): those that are kept, or made by the model and kept.

        Args:
            known: by content hash, what the same model has made of items of another catalog; only the others are encoded.

        Raises:
            DataError: a picture is broken.
        """
        if (vectors := self.kept()) is not None:
            return vectors
        catalog, by_hash = self._catalog, dict(known or {})
        missing = [row for row, content in enumerate(catalog.hashes) if content not in by_hash]
        logger.info("embedding %d of the catalog's %d items: none are kept", len(missing), len(catalog.rows))
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            rows = [catalog.rows[row] for row in batch]
            items = [item_of(row, picture) for row, picture in zip(rows, catalog.pictures(rows), strict=True)]
            made = model.item_vectors(items)
            by_hash |= {catalog.hashes[row]: vector for row, vector in zip(batch, made, strict=True)}
        found = np.array([by_hash[content] for content in catalog.hashes], dtype=np.float32)
        self._keep(found)
        return found

    def _keep(self, found: np.ndarray) -> None:
        """Keep vectors for other processes; without that each makes them again."""
        temporary = self._file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp.npy")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            np.save(temporary, found)
            temporary.replace(self._file)
        except OSError as error:
            logger.warning("the vectors of the catalog are not kept for the next start: %s", error)
        with suppress(OSError):  # another process may be removing them too
            # Among them the unfinished ones of processes that were killed; one that is being written is new.
            files = sorted(self._file.parent.glob("*.npy"), key=lambda kept: kept.stat().st_mtime, reverse=True)
            for old in files[KEPT:]:
                old.unlink(missing_ok=True)
