"""The fingerprint of a stage covers the code that the stage runs: no stale result is taken for a new one."""

from __future__ import annotations

from functools import cache

import grimp
import pytest

from flows.workspace import CODE

# What each stage runs; `training.train` finds the models' modules by name, which no import graph sees.
ENTRIES = {
    "prepare": ["training.data.prepare"],
    "detection": ["training.detection.train"],
    "outfits": ["training.outfits.train"],
    "chat": ["training.chat.train"],
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
    "bentos.serving.settings": "the values are parameters",
    "aura.settings": "the values are parameters",
    "aura.supervision": "when a process ends",
    "aura.tracking": "where runs are remembered",
    "flows.profile": "the values are parameters",
    "flows.servers": "how a server is started and stopped",
    "flows.workspace": "where stages run",
    "training.device": "where, not what",
    "training.context": "names for what a training is given",
    "training.curves": "how curves look",
    "training.gate": "the verdict is taken anew every night",
    "training.models": "a table of names",
}


@cache
def _graph() -> grimp.ImportGraph:
    return grimp.build_graph("aura", "inference", "training", "flows", "bentos")


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
