"""What the outfit model of the next release makes of its catalog, computed before services are told of the release.

A service that switches needs it before it can answer, and would compute it beside the answers that it gives. It lies in the cache
of this home: services of another home, or in a container, compute it themselves, as they do wherever this fails.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from aura.errors import AuraError
from aura.paths import repo_root
from aura.registry import ARTIFACT_HASH, CHAMPION, Registry
from aura.supervision import watched_environment
from flows.model_process import run_module
from inference.outfits.catalog_vectors import CatalogVectors
from inference.retrieval.released_catalog import released_catalog
from inference.retrieval.releases import served_index

MODEL = "outfits"
_SECONDS = 3600.0
"""Time limit, for a process that hangs."""
logger = logging.getLogger(__name__)


def embed_catalog(registry: Registry, index: Path | str, device: str) -> None:
    """Keep the vectors of the served catalog by the champion, unless they are kept.

    Args:
        index: folder or URI of the index.
        device: device that computes them, as torch names it.
    """
    champion, served = registry.at(MODEL, CHAMPION), served_index(index)
    if champion is None or served is None:
        return
    try:
        champion = registry.with_hash(champion)
        if CatalogVectors(released_catalog(index, served), champion.tags[ARTIFACT_HASH]).kept() is not None:
            return
        with tempfile.TemporaryDirectory(prefix="aura-embed-") as name:
            artifact = registry.download(champion, Path(name) / MODEL)
            run_module(
                "inference.outfits.embed_catalog",
                [
                    str(artifact), str(index), "--number", str(served.number), "--digest", served.digest, "--device", device,
                ],
                label="embedding the catalog", seconds=_SECONDS, folder=repo_root(), environment=watched_environment(),
            )  # fmt: skip
    except AuraError as error:
        logger.warning("the catalog is not embedded ahead, services do it when they switch: %s", error)
