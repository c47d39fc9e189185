"""Settling candidates on a real MLflow store: stale comparisons, copies that do not answer, half-fetched champions."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura.artifact import read_json, write_json, write_text
from aura.paths import profile_paths
from aura.registry import CHALLENGER, CHAMPION, ModelVersion, Registry
from flows.profile import load_profile
from flows.settle import fetch_champions, judged_against_another, settle
from flows.workspace import Workspace


@pytest.fixture
def workspace() -> Workspace:
    return Workspace(profile_paths("sample"), load_profile("sample"))


@pytest.fixture
def registry(workspace: Workspace) -> Registry:
    return Registry(workspace.profile.tracking, workspace.profile.profile)


def register(registry: Registry, folder: Path, candidate: str) -> ModelVersion:
    write_json(folder / candidate / "config.json", {"candidate": candidate})
    return registry.register("outfits", folder / candidate, run_id=None, tags={"candidate_id": candidate})


def figures(workspace: Workspace, candidate: str, champion: str | None, fitb: float = 0.6) -> None:
    metrics = {"metrics": {"fitb": fitb}, "slices": {}}
    write_json(
        workspace.folder / "metrics" / "test" / "outfits.json",
        {
            "candidate_id": candidate, "champion_candidate_id": champion, "seconds": 1.0, "challenger": metrics,
            "champion": metrics if champion else None,
        },
    )  # fmt: skip
    write_json(workspace.folder / "metrics" / "train" / "outfits.json", {"seconds": 2.0})


def broken_candidate(workspace: Workspace, candidate: str) -> None:
    """An artifact whose figures are fine and whose weights are missing."""
    figures(workspace, candidate, None)
    artifact = workspace.folder / "models" / "outfits"
    write_json(artifact / "config.json", {})
    write_json(artifact / "lineage.json", {"candidate_id": candidate})
    for file in ("dvc.lock", "dvc.yaml", "params.yaml"):
        write_text(workspace.folder / file, "")


def test_figures_against_another_champion_are_out_of_date(
    workspace: Workspace, registry: Registry, tmp_path: Path
) -> None:
    figures(workspace, "new", champion=None)
    assert not judged_against_another(workspace, registry, "outfits"), "no champion then, none now"
    for candidate in ("first", "second"):
        registry.promote("outfits", register(registry, tmp_path, candidate).version)
    assert judged_against_another(workspace, registry, "outfits"), "a champion came meanwhile"
    figures(workspace, "new", champion="second")
    assert not judged_against_another(workspace, registry, "outfits")
    registry.rollback("outfits")
    assert judged_against_another(workspace, registry, "outfits"), "an operator rolled back meanwhile"


def test_a_candidate_that_was_promoted_before_its_verdict_was_noted_keeps_it(
    workspace: Workspace, registry: Registry, tmp_path: Path
) -> None:
    """Killed between the two: compared with itself it would lose."""
    registry.promote("outfits", register(registry, tmp_path, "old").version)
    registry.promote("outfits", register(registry, tmp_path, "new").version)
    figures(workspace, "new", champion="old")
    assert not judged_against_another(workspace, registry, "outfits")


def test_a_settled_candidate_is_not_compared_again(workspace: Workspace, registry: Registry, tmp_path: Path) -> None:
    registry.promote("outfits", register(registry, tmp_path, "champion").version)
    version = register(registry, tmp_path, "candidate")
    registry.tag(version, {"settled": "true", "verdict": "kept champion"})
    figures(workspace, "candidate", champion="an older one")
    assert not judged_against_another(workspace, registry, "outfits")
    outcome = settle(workspace, registry, "outfits")
    assert outcome.verdict == "nothing new"
    assert outcome.version == "1"


def test_a_copy_that_does_not_answer_is_registered_but_never_promoted(workspace: Workspace, registry: Registry) -> None:
    broken_candidate(workspace, "broken")
    outcome = settle(workspace, registry, "outfits")
    assert outcome.verdict == "rejected"
    assert "does not answer" in outcome.reasons[0]
    assert registry.at("outfits", CHAMPION) is None
    challenger = registry.at("outfits", CHALLENGER)
    assert challenger is not None
    assert challenger.tags["settled"] == "true"
    assert settle(workspace, registry, "outfits").verdict == "nothing new"
    assert len(registry.versions("outfits")) == 1


def test_champions_that_a_killed_run_fetched_in_part_are_fetched_again(
    workspace: Workspace, registry: Registry, tmp_path: Path
) -> None:
    registry.promote("outfits", register(registry, tmp_path, "first").version)
    assert fetch_champions(workspace, registry) == {"outfits": "1"}
    folder = workspace.folder / "champions"
    registry.promote("outfits", register(registry, tmp_path, "second").version)
    # Killed after the new copy came and before it was noted: the note names nothing that is not there.
    write_json(folder / "champions.json", {})
    write_json(folder / "outfits" / "config.json", {"candidate": "half"})
    assert fetch_champions(workspace, registry) == {"outfits": "2"}
    assert read_json(folder / "outfits" / "config.json", "config") == {"candidate": "second"}
    # Killed while the old copy was being replaced: a part of it is gone. Or somebody changed a file.
    for damage in ("", '{"candidate": "changed"}'):
        write_text(folder / "outfits" / "config.json", damage)
        assert fetch_champions(workspace, registry) == {"outfits": "2"}
        assert read_json(folder / "outfits" / "config.json", "config") == {"candidate": "second"}


def test_a_champion_that_is_gone_from_the_registry_leaves_the_working_copy(
    workspace: Workspace, registry: Registry
) -> None:
    write_json(workspace.folder / "champions" / "outfits" / "config.json", {})
    assert fetch_champions(workspace, registry) == {}
    assert not (workspace.folder / "champions" / "outfits").exists()
