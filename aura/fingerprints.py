"""Which code decides a result: everything that an entry imports, directly or not, found in the import graph (grimp).

When that code changes, or the version of a library that it imports, a stage runs again and a training makes a new candidate.
No list of it needs upkeep: only the modules and libraries that change no result are listed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import packages_distributions, version

import grimp

from aura.paths import repo_root

PACKAGES = ("aura", "dataprep", "inference", "training", "stores", "flows", "bentos")

NO_EFFECT = {
    "aura.artifact": "how files are written, not what is in them",
    "aura.error_file": "how an error is reported",
    "aura.errors": "texts of errors",
    "aura.fingerprints": "another fingerprint causes a new run by itself",
    "aura.git": "how a night is recorded",
    "aura.heavy_imports": "how long a process takes to start",
    "aura.lineage": "another hash causes a new run by itself",
    "aura.mlflow_errors": "texts of errors",
    "aura.paths": "where folders lie",
    "aura.problems": "texts of errors",
    "aura.proxies": "by which way a server is called",
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

NO_EFFECT_LIBRARIES = {
    "dvc": "whether a stage runs",
    "filelock": "when a run may begin",
    "grimp": "finds what is listed here",
    "httpx": "how servers are called",
    "httpx2": "how servers are called",
    "huggingface_hub": "how files are fetched; a reference names their revision",
    "matplotlib": "how pictures look",
    "mlflow": "where runs are recorded",
    "omegaconf": "the values are parameters",
    "prefect": "when stages run",
    "psutil": "when a process ends",
    "pydantic": "checks values",
    "requests": "how servers are called",
    "rich": "how text looks",
    "sqlalchemy": "where runs are recorded",
    "tenacity": "how often something is tried",
    "tqdm": "how text looks",
    "typer": "how a command is called",
    "websockets": "how servers are called",
    "yaml": "the values are parameters",
}
"""Library, by the name that it is imported by, to why its version changes no result."""

_LOADED_BY_NAME = {"transformers": ("timm", "tokenizers")}
"""Library to those that do its work without being imported here."""


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
        if module in found or module in NO_EFFECT or module.endswith(".settings") or graph.is_module_squashed(module):
            continue
        found.add(module)
        waiting += graph.find_modules_directly_imported_by(module)
    return sorted(found)


def libraries_behind(entries: Iterable[str]) -> dict[str, str]:
    """Versions of the installed libraries whose code decides what the entries yield, by distribution.

    Without the part that names a build: torch 2.14.1 for a CPU and for a GPU are the same version.
    """
    graph = _graph()
    modules = {module for entry in entries for module in modules_behind(entry)}
    imported = {
        library
        for module in modules
        for library in graph.find_modules_directly_imported_by(module)
        if graph.is_module_squashed(library) and library not in NO_EFFECT_LIBRARIES
    }
    imported |= {name for library in imported for name in _LOADED_BY_NAME.get(library, ())}
    names = {name for library in imported for name in _distributions().get(library, ())}  # none: Python's own
    return {name: version(name).partition("+")[0] for name in sorted(names)}


def code_fingerprint(entries: Sequence[str]) -> str:
    """SHA-256 over the sources of all modules behind the entries, and the versions of the libraries behind them."""
    digest = hashlib.sha256(repr(libraries_behind(entries)).encode())
    for module in sorted({module for entry in entries for module in modules_behind(entry)}):
        path = repo_root() / module.replace(".", "/")
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        digest.update(module.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def _distributions() -> Mapping[str, list[str]]:
    return packages_distributions()


@cache
def _graph() -> grimp.ImportGraph:
    # A Bento holds only some of the packages.
    present = [package for package in PACKAGES if (repo_root() / package / "__init__.py").is_file()]
    return grimp.build_graph(
        *present, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )
