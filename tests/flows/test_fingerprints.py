"""The fingerprint of a stage covers the code that the stage runs: no stale result is taken for a new one."""

from __future__ import annotations

from functools import cache

import grimp
import pytest

from flows.workspace import CODE
from training.models import MODELS

# What each stage runs; of a model's spec, the part that the stage calls.
ENTRIES = {
    "prepare": ["training.data.prepare"],
    **{name: [f"training.{name}.train", f"training.{name}.evaluate"] for name in MODELS},
    "evaluate": ["training.evaluate"],
    "index": ["inference.retrieval.build"],
    "package": ["flows.package"],
}
NO_EFFECT_ON_RESULTS = {
    "aura.artifact": "how files are written, not what is in them",
    "aura.error_file": "how an error is told",
    "aura.errors": "words",
    "aura.lineage": "a changed hash calls for a new run by itself",
    "aura.paths": "places",
    "aura.serving": "the values are parameters",
    "aura.settings": "the values are parameters",
    "aura.supervision": "when a process ends",
    "aura.tracking": "where runs are remembered",
    "flows.gate": "the verdict is taken anew every night",
    "flows.profile": "the values are parameters",
    "flows.servers": "how a server is started and stopped",
    "flows.workspace": "where stages run",
    "inference.references": "the values are parameters",
    "training.device": "where, not what",
    "training.context": "names for what a training is given",
    "training.curves": "how curves look",
    "training.models": "a table of names",
    "training.spec": "what a model is made of",
}


@cache
def _graph() -> grimp.ImportGraph:
    graph = grimp.build_graph("aura", "inference", "training", "flows", "bentos")
    for name in MODELS:  # it leads to all that a model does, and a stage does one part of it
        graph.remove_module(f"training.{name}.spec")
    return graph


@pytest.mark.parametrize("stage", ENTRIES)
def test_a_stage_is_repeated_when_code_that_it_runs_changes(stage: str) -> None:
    graph = _graph()
    runs = set(ENTRIES[stage]).union(*(graph.find_upstream_modules(entry) for entry in ENTRIES[stage]))
    packages = {module for module in graph.modules if graph.find_children(module)}
    covered = tuple(part.removesuffix(".py").replace("/", ".") for part in CODE[stage])
    missing = {
        module
        for module in runs - packages - set(NO_EFFECT_ON_RESULTS)
        if not any(module == part or module.startswith(f"{part}.") for part in covered)
    }
    # Settings are parameters of the stages already; only their own section may be read in one.
    missing = {module for module in missing if not module.endswith(".settings")}
    assert not missing, f"add to the fingerprint of {stage}, or say above why not: {sorted(missing)}"


def test_what_is_left_out_exists() -> None:
    assert set(NO_EFFECT_ON_RESULTS) <= set(_graph().modules)
