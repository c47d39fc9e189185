"""Fingerprints of the inputs that lie outside the working copy: code with its libraries and weights, raw data, knowledge pages.

`params.yaml` holds them under `inputs`, and `dvc.yaml` names them as parameters of its stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aura.fingerprints import code_fingerprint
from aura.lineage import file_tree_hash, value_hash
from aura.paths import repo_root
from dataprep.importers import SYNTHETIC
from flows.bento_contents import contents_hash
from flows.services import SERVICES
from inference.references import weights_behind
from training.models import MODELS

ENTRIES: dict[str, tuple[str, ...]] = {
    "prepare": ("dataprep.prepare",),
    **{f"train_{model}": spec.entries for model, spec in MODELS.items()},
    **{f"evaluate_{model}": ("training.evaluate", f"training.{model}.evaluate") for model in MODELS},
    "index": ("inference.retrieval.build",),
    "package": ("flows.package", *(service.target.split(":")[0] for service in SERVICES.values())),
}
"""Stage to the modules that it runs."""

WEIGHTS: dict[str, str] = {
    **{f"{stage}_{model}": model for model in MODELS for stage in ("train", "evaluate")},
    "index": "retrieval",
}
"""Stage to the section of the profile that names the pretrained models that it loads."""


def inputs(profile: Mapping[str, Any], raw: Path) -> dict[str, Any]:
    """Fingerprints of all inputs.

    Args:
        profile: values of the resolved profile.
        raw: folder that the raw sources lie in.
    """
    manifests = {}
    for source in profile["data"]["sources"]:
        manifest = raw / source / "source.json"
        manifests[source] = file_tree_hash(manifest.parent, "source.json") if manifest.is_file() else ""
    if SYNTHETIC in manifests:
        manifests[SYNTHETIC] = "drawn"  # settings and code alone decide its content
    return {
        "code": {
            stage: value_hash([code_fingerprint(entries), weights_behind(profile.get(WEIGHTS.get(stage, ""), {}))])
            for stage, entries in ENTRIES.items()
        },
        # All of it, also what changes no answer: a Bento holds these files.
        "packing": contents_hash(repo_root()),
        "knowledge": file_tree_hash(repo_root() / "data" / "knowledge"),
        "raw": manifests,
    }
