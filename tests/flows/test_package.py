"""Bentos in the store: whole ones are found, half ones are not taken for whole."""

from __future__ import annotations

from pathlib import Path

from aura.artifact import write_json, write_text
from aura.paths import home, profile_paths
from flows.package import bentos_exist
from flows.profile import load_profile
from flows.workspace import Workspace


def packed(tag: str) -> tuple[Path, Path]:
    return home() / "bentoml" / "bentos" / tag.replace(":", "/"), home() / "bentoml" / "whole" / tag.replace(":", "-")


def test_a_bento_counts_when_it_is_there_and_was_finished() -> None:
    workspace = Workspace(profile_paths("sample"), load_profile("sample"))
    assert not bentos_exist(workspace)
    write_json(workspace.folder / "metrics" / "package.json", {"bentos": {"visual_analysis": {"tag": "visual:1"}}})
    folder, mark = packed("visual:1")
    assert not bentos_exist(workspace)
    write_text(folder / "bento.yaml", "half a copy")
    assert not bentos_exist(workspace)
    write_text(mark, "")
    assert bentos_exist(workspace)
    (folder / "bento.yaml").unlink()
    assert not bentos_exist(workspace)


def test_settings_of_the_environment_do_not_reach_a_stage_twice(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("AURA_DETECTION__MAX_EPOCHS", "3")
    workspace = Workspace(profile_paths("sample"), load_profile("sample", ["detection.max_epochs=5"]))
    assert workspace.params()["detection"]["max_epochs"] == 5
    assert "AURA_DETECTION__MAX_EPOCHS" not in workspace.environment()
    assert "AURA_HOME" in workspace.environment()
