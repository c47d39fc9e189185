"""How passages are found is said once in a profile, and reaches the chat's training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from aura.artifact import write_text
from aura.errors import SettingsError
from aura.paths import profile_paths
from aura.settings import read_profile, read_resolved
from flows.profile import load_profile
from flows.workspace import Workspace
from training import train
from training.chat.settings import ChatSettings
from training.models import MODELS

FOUND_OTHERWISE = ("retrieval.chunk_max_words=60", "retrieval.search.text_weight=3")


def chat_settings(profile: str, overrides: Sequence[str] = ()) -> ChatSettings:
    """As `training.train` and `training.evaluate` read them."""
    settings, _ = MODELS["chat"].read_settings(read_profile(profile, overrides))
    assert isinstance(settings, ChatSettings)
    return settings


@pytest.mark.parametrize("name", ["sample", "ccp", "photos", "production"])
def test_the_chat_finds_its_passages_as_the_profile_says(name: str) -> None:
    profile = load_profile(name, FOUND_OTHERWISE)
    assert profile.retrieval.chunk_max_words == 60
    assert profile.model_dump()["chat"]["retrieval"] == profile.retrieval.model_dump()
    assert chat_settings(name, FOUND_OTHERWISE).retrieval == profile.retrieval


def test_it_stands_in_the_resolved_settings_and_is_read_from_there(tmp_path: Path, own_home: Path) -> None:
    values = Workspace(profile_paths("sample"), load_profile("sample", FOUND_OTHERWISE)).params()
    assert values["chat"]["retrieval"] == values["retrieval"]
    params = tmp_path / "params.yaml"
    write_text(params, yaml.safe_dump(values))
    settings, _ = MODELS["chat"].read_settings(read_resolved(params))
    assert isinstance(settings, ChatSettings)
    assert settings.retrieval.chunk_max_words == 60
    assert settings.retrieval.search.text_weight == 3
    assert not own_home.exists(), "resolving the settings makes nothing"


@pytest.mark.parametrize("override", ["chat.retrieval.chunk_max_words=50", "chat.retrieval.search.text_weight=3"])
@pytest.mark.parametrize("beside", [(), FOUND_OTHERWISE])
def test_a_chat_that_searches_otherwise_than_the_index_is_refused(override: str, beside: tuple[str, ...]) -> None:
    for read in (load_profile, chat_settings):
        with pytest.raises(SettingsError, match=r"chat\.retrieval differs from the section retrieval") as caught:
            read("sample", [*beside, override])
        assert "set it in retrieval alone" in caught.value.hint


def test_a_training_says_so_before_it_looks_at_its_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "own.yaml"
    profile.write_text("profile: own\nchat: {retrieval: {chunk_max_words: 50}}\n", encoding="utf-8")
    arguments = ["chat", "--profile", str(profile), "--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")]
    assert train.main(arguments) != 0
    assert "chat.retrieval differs" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_model_that_finds_no_passages_has_no_such_section() -> None:
    assert "retrieval" not in load_profile("sample").model_dump()["detection"]
    section = MODELS["detection"].with_shared_sections({"detection": {"max_epochs": 2}, "retrieval": {"x": 1}})
    assert section == {"max_epochs": 2}
