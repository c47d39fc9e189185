"""A copy of the catalog that is the service's own.

Pictures are opened when they are asked for. DVC removes the pipeline's folder before the stage that prepares it runs, so a
service that read there would fail every night until the stage has ended.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from aura.artifact import content_hash, replace_dir
from aura.errors import IndexNotReadyError
from inference.retrieval.catalog import CATALOG_FILE

_HASH_CHARS = 16


def catalog_copy(source: Path, folder: Path) -> Path:
    """Folder below `folder` with what `source` holds, under the name of its content; made if it is not there yet.

    Raises:
        IndexNotReadyError: `source` holds no catalog, or changed while it was copied.
    """
    if not (source / CATALOG_FILE).is_file():
        raise IndexNotReadyError(f"no catalog in {source}", hint="run `aura nightly`, which prepares it")
    try:
        name = content_hash(source)[:_HASH_CHARS]
        target = folder / f"catalog-{name}"
        if target.is_dir():
            return target
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".catalog-") as building:
            copy = Path(shutil.copytree(source, Path(building) / "catalog"))
            if content_hash(copy)[:_HASH_CHARS] != name:
                raise _changing(source)
            replace_dir(copy, target)
    except OSError as error:  # a file vanished in between; shutil.Error is one too
        raise _changing(source) from error
    return target


def _changing(source: Path) -> IndexNotReadyError:
    return IndexNotReadyError(
        f"the catalog in {source} changed while it was copied", hint="a night is preparing it; start again when it has"
    )
