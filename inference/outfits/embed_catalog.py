"""Keep what an outfit model makes of the catalog of an index (`inference.outfits.catalog_vectors`), in a process of its own:

python -m inference.outfits.embed_catalog ARTIFACT INDEX --number 3 --digest 0f3c... --device cpu
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from aura.artifact import content_hash
from aura.error_file import reporting_errors
from aura.releases import IndexVersion
from aura.supervision import die_with_parent
from inference.outfits.catalog_vectors import CatalogVectors
from inference.outfits.model import OutfitModel
from inference.outfits.smoke_test import SMOKE_TEST
from inference.retrieval.released_catalog import released_catalog
from inference.smoke_test import check_loaded


@reporting_errors
def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="inference.outfits.embed_catalog", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("artifact", type=Path)
    parser.add_argument("index", help="folder or URI of the index")
    parser.add_argument("--number", type=int, required=True, help="of the release of the index")
    parser.add_argument("--digest", default="", help="of its rows")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    die_with_parent()
    catalog = released_catalog(options.index, IndexVersion(number=options.number, digest=options.digest))
    # A night has remembered the features of these pictures; they are no user's.
    model = OutfitModel.load(options.artifact, options.device, remember=True)
    check_loaded(SMOKE_TEST, model, options.artifact)  # no service takes a broken model, and its vectors are of no use
    CatalogVectors(catalog, content_hash(options.artifact)).made(model)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
