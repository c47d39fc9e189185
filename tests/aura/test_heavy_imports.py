"""Imports without garbage collections."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import pytest

from aura.heavy_imports import heavy_imports


def test_nothing_is_collected_inside_and_everything_goes_on_afterwards() -> None:
    frozen = gc.get_freeze_count()
    with heavy_imports(at_start=True):
        assert not gc.isenabled()
        with heavy_imports():
            pass
        assert not gc.isenabled(), "the inner one ended"
    assert gc.isenabled()
    assert gc.get_freeze_count() > frozen
    with pytest.raises(ImportError), heavy_imports():
        raise ImportError
    assert gc.isenabled()


def test_a_stage_loads_torch_when_it_works_and_not_before() -> None:
    """What a stage's module imports at its top is imported with collections."""
    stages = "training.train, training.evaluate, training.smoke_test, inference.retrieval.build, dataprep.prepare"
    code = f"import sys, {stages}; sys.exit(str(sorted({{'torch', 'transformers', 'lightning'}} & sys.modules.keys())))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr.strip() == "[]"


def test_what_lives_when_a_library_is_imported_late_can_be_freed() -> None:
    class Work:
        def __init__(self) -> None:
            self.itself = self

    work = weakref.ref(Work())
    with heavy_imports():
        pass
    gc.collect()
    assert work() is None
