"""Which code decides a result: everything that an entry imports, directly or not, found in the import graph (grimp).

When that code changes, a stage runs again and a training makes a new candidate. No list of it needs upkeep: only the
modules that change no result are listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache

import grimp

from aura.paths import repo_root

PACKAGES = ("aura", "dataprep", "inference", "training", "flows", "bentos")

NO_EFFECT = {
    "aura.artifact": "how files are written, not what is in them",
    "aura.error_file": "how an error is reported",
    "aura.errors": "texts of errors",
    "aura.fingerprints": "another fingerprint causes a new run by itself",
    "aura.lineage": "another hash causes a new run by itself",
    "aura.paths": "where folders lie",
    "aura.problems": "texts of errors",
    "aura.settings": "the values are parameters",
    "aura.supervision": "when a process ends",
    "aura.tracking": "where runs are recorded",
    "dataprep.importers": "what an importer has brought in is a parameter",
    "flows.fingerprints": "another fingerprint causes a new run by itself",
    "flows.gate": "the gate judges again every night",
    "flows.processes": "how a server is started and stopped",
    "flows.profile": "the values are parameters",
    "flows.run_lock": "when a run may begin",
    "flows.workspace": "where stages run",
    "inference.references": "the values are parameters",
    "training.context": "names for what a training is given",
    "training.curves": "how curves look",
    "training.device": "where, not what",
    "training.models": "a table of names",
    "training.spec": "what a model is made of",
}
"""Module to why it changes no result. Neither it nor what is imported through it alone is part of a fingerprint."""


def modules_behind(entry: str) -> list[str]:
    """Modules whose code decides what `entry` yields, itself included, sorted. Settings are left out: they are parameters.

    Raises:
        ValueError: there is no such module.
    """
    graph = _graph()
    if entry not in graph.modules:
        raise ValueError(f"no module {entry}; packages: {', '.join(PACKAGES)}")
    found, waiting = set(), [entry]
    while waiting:
        module = waiting.pop()
        if module in found or module in NO_EFFECT or module.endswith(".settings"):
            continue
        found.add(module)
        waiting += graph.find_modules_directly_imported_by(module)
    return sorted(found)


def code_fingerprint(entries: Iterable[str]) -> str:
    """SHA-256 over the sources of all modules behind the entries."""
    digest = hashlib.sha256()
    for module in sorted({module for entry in entries for module in modules_behind(entry)}):
        path = repo_root() / module.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        digest.update(module.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _graph() -> grimp.ImportGraph:
    # A Bento holds only some of the packages.
    present = [package for package in PACKAGES if (repo_root() / package / "__init__.py").is_file()]
    return grimp.build_graph(*present, exclude_type_checking_imports=True, cache_dir=None)
