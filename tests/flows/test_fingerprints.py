"""The fingerprint of a stage covers the code that the stage runs, and no other: no stale result, no needless run."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from aura import fingerprints
from aura.fingerprints import NO_EFFECT, PACKAGES, code_fingerprint, modules_behind
from aura.paths import repo_root
from flows.fingerprints import ENTRIES
from training.models import MODELS

RUNS = {
    "prepare": {"dataprep.splits", "dataprep.synthetic.scenes", "aura.taxonomy", "inference.retrieval.chunks"},
    "train_detection": {"inference.detection.preprocess", "inference.detection.backbone", "aura.pictures"},
    "train_outfits": {"inference.outfits.network", "inference.text_embedding", "aura.pictures", "training.outfits.losses"},
    "train_chat": {"inference.chat.prompt", "inference.retrieval.chunks", "training.chat.qlora"},
    "evaluate_detection": {"training.evaluate", "inference.detection.postprocess"},
    "index": {"inference.retrieval.sync", "inference.text_embedding", "aura.pictures"},
    "package": {"flows.services", "flows.recorded_answers", "bentos.visual_analysis.service", "inference.detection.detector"},
}  # fmt: skip
DOES_NOT_RUN = {
    "prepare": {"training.detection.train", "dataprep.importers.ccp", "flows.nightly"},
    "train_detection": {"training.chat.train", "training.outfits.train", "inference.chat.model", "dataprep.prepare"},
    "train_outfits": {"training.detection.train", "bentos.visual_analysis.service"},
    "train_chat": {"inference.detection.detector"},
    "evaluate_detection": {"training.chat.evaluate", "training.outfits.train"},
    "index": {"training.chat.train", "inference.outfits.network"},
    "package": {"training.detection.train", "flows.nightly", "dataprep.synthetic.scenes"},
}


def behind(stage: str) -> set[str]:
    return {module for entry in ENTRIES[stage] for module in modules_behind(entry)}


@pytest.mark.parametrize("stage", RUNS)
def test_a_stage_is_repeated_when_code_that_it_runs_changes_and_only_then(stage: str) -> None:
    assert RUNS[stage] <= behind(stage), "not covered"
    assert not DOES_NOT_RUN[stage] & behind(stage), "covered for nothing"


def test_every_stage_of_the_pipeline_has_entries() -> None:
    definition = (repo_root() / "dvc.yaml").read_text(encoding="utf-8")
    assert all(f"inputs.code.{stage}\n" in definition for stage in ENTRIES)
    assert definition.count("inputs.code.") == len(ENTRIES)
    assert {f"train_{model}" for model in MODELS} <= set(ENTRIES)


def test_what_is_left_out_exists_and_has_a_reason() -> None:
    for module, reason in NO_EFFECT.items():
        path = repo_root() / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__init__.py").is_file(), module
        assert reason


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package of five modules: `entry` imports `direct`, in a function `late`, and `aura.errors`, which imports `through`."""
    files = {
        "toy/__init__.py": "",
        "toy/entry.py": "import toy.direct\nimport toy.words\ndef run():\n    from toy import late\n",
        "toy/direct.py": "VALUE = 1\n",
        "toy/late.py": "VALUE = 1\n",
        "toy/words.py": "import toy.through\n",
        "toy/through.py": "VALUE = 1\n",
        "toy/other.py": "import toy.entry\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(fingerprints, "PACKAGES", ("toy",))
    monkeypatch.setattr(fingerprints, "repo_root", lambda: tmp_path)
    monkeypatch.setitem(NO_EFFECT, "toy.words", "words")
    fingerprints._graph.cache_clear()
    yield tmp_path / "toy"
    fingerprints._graph.cache_clear()


@pytest.mark.parametrize(
    ("file", "repeated"), [("direct", True), ("late", True), ("entry", True), ("through", False), ("other", False)]
)
def test_a_change_is_seen_through_every_kind_of_import(toy: Path, file: str, repeated: bool) -> None:
    before = code_fingerprint(["toy.entry"])
    with (toy / f"{file}.py").open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")
    fingerprints._graph.cache_clear()
    assert (code_fingerprint(["toy.entry"]) != before) is repeated


def test_an_entry_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match=r"no module training\.hats\.train"):
        modules_behind("training.hats.train")


def test_nothing_is_imported_by_a_name_that_the_graph_cannot_see() -> None:
    files = subprocess.run(
        ["git", "ls-files", *(f"{package}/*.py" for package in PACKAGES)],
        cwd=repo_root(), capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    for file in files:
        for node in ast.walk(ast.parse((repo_root() / file).read_text(encoding="utf-8"))):
            name = getattr(node, "attr", getattr(node, "id", getattr(node, "name", "")))
            assert name not in {"import_module", "__import__"}, f"{file}: {name}"
