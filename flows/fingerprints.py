"""Fingerprints of the inputs that lie outside the working copy: code, raw data, knowledge pages.

`params.yaml` holds them under `inputs`, and `dvc.yaml` names them as parameters of its stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aura.fingerprints import code_fingerprint
from aura.lineage import file_tree_hash
from aura.paths import repo_root
from dataprep.importers import SYNTHETIC
from flows.bento_contents import contents_hash
from flows.services import SERVICES
from training.models import MODELS

ENTRIES: dict[str, tuple[str, ...]] = {
    "prepare": ("dataprep.prepare",),
    **{f"train_{model}": spec.entries for model, spec in MODELS.items()},
    **{f"evaluate_{model}": ("training.evaluate", f"training.{model}.evaluate") for model in MODELS},
    "index": ("inference.retrieval.build",),
    "package": ("flows.package", *(service.target.split(":")[0] for service in SERVICES.values())),
}
"""Stage to the modules that it runs."""


def inputs(sources: Sequence[str], raw: Path) -> dict[str, Any]:
    """Fingerprints of all inputs.

    Args:
        sources: names of the raw sources that the profile reads.
        raw: folder that they lie in.
    """
    manifests = {}
    for source in sources:
        manifest = raw / source / "source.json"
        manifests[source] = file_tree_hash(manifest.parent, "source.json") if manifest.is_file() else ""
    if SYNTHETIC in manifests:
        manifests[SYNTHETIC] = "drawn"  # settings and code alone decide its content
    return {
        "code": {stage: code_fingerprint(entries) for stage, entries in ENTRIES.items()},
        # All of it, also what changes no answer: a Bento holds these files.
        "packing": contents_hash(repo_root()),
        "knowledge": file_tree_hash(repo_root() / "data" / "knowledge"),
        "raw": manifests,
    }
