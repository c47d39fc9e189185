"""Judging candidates on a real MLflow store: stale comparisons, copies that do not answer, half-fetched champions."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from subprocess import run as run_process

import pytest
import torch
from mlflow import MlflowClient
from safetensors.torch import load_file, save_file

from aura.artifact import content_hash, read_json, write_json, write_text
from aura.errors import StageError
from aura.paths import profile_paths
from aura.registry import CHALLENGER, CHAMPION, ModelVersion, Registry
from flows.profile import load_profile
from flows.promotion import JUDGED, fetch_champions, judge_candidate, judged_against_another
from flows.workspace import Workspace
from inference.outfits.smoke_test import SMOKE_TEST
from inference.smoke_test import record
from tests.inference.outfits.conftest import embedder, saved, towers
from tests.training.paired_cases import mean_of
from training.evaluate import judging

__all__ = ["embedder", "saved", "towers"]  # fixtures


@pytest.fixture
def workspace() -> Workspace:
    return Workspace(profile_paths("sample"), load_profile("sample"))


@pytest.fixture
def registry(workspace: Workspace) -> Registry:
    return Registry(workspace.profile.tracking, workspace.profile.profile)


def register(registry: Registry, folder: Path, candidate: str) -> ModelVersion:
    write_json(folder / candidate / "config.json", {"candidate": candidate})
    return registry.register("outfits", folder / candidate, run_id=None, tags={"candidate_id": candidate})


def write_metrics(workspace: Workspace, candidate: str, champion: str | None, fitb: float = 0.6) -> None:
    metrics = {"metrics": {"fitb_both": fitb}, "slices": {}}
    model = mean_of([fitb] * 4, metric="fitb_both", unit="outfits")
    write_json(
        workspace.folder / "metrics" / "test" / "outfits.json",
        {
            "candidate_id": candidate, "champion_candidate_id": champion, "seconds": 1.0, "challenger": metrics,
            "champion": metrics if champion else None, "judging": judging(model, model if champion else None, {}, seed=7),
        },
    )  # fmt: skip
    write_json(workspace.folder / "metrics" / "train" / "outfits.json", {"seconds": 2.0})


class Candidate:
    """An outfit model in the working copy, as a training would leave it."""

    def __init__(self, workspace: Workspace, saved: Path, candidate: str) -> None:
        write_metrics(workspace, candidate, None)
        self.folder = Path(shutil.copytree(saved, workspace.folder / "models" / "outfits"))
        write_json(self.folder / "lineage.json", {"candidate_id": candidate})
        record(SMOKE_TEST, self.folder, "cpu")
        write_json(self.folder / "params.json", {"outfits": {}, "seed": 7})
        for file in ("dvc.lock", "dvc.yaml"):
            write_text(workspace.folder / file, "")

    def forget_what_it_learnt(self) -> None:
        """Weights of zero: they load, and are not the model that was judged."""
        weights = self.folder / "model.safetensors"
        save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(weights).items()}, weights)


@pytest.fixture
def candidate(workspace: Workspace, saved: Path) -> Candidate:
    return Candidate(workspace, saved, "candidate")


def stored(registry: Registry, own_home: Path, file: str = "model.safetensors") -> Path:
    """A file of version 1 in MLflow's store."""
    version = registry.version("outfits", "1")
    (found,) = (own_home / "mlflow" / "artifacts").rglob(f"{version.run_id}/artifacts/model/{file}")
    return found


def test_a_comparison_with_another_champion_is_out_of_date(
    workspace: Workspace, registry: Registry, tmp_path: Path
) -> None:
    write_metrics(workspace, "new", champion=None)
    assert not judged_against_another(workspace, registry, "outfits"), "no champion then, none now"
    for candidate in ("first", "second"):
        registry.promote("outfits", register(registry, tmp_path, candidate).version)
    assert judged_against_another(workspace, registry, "outfits"), "a champion came meanwhile"
    write_metrics(workspace, "new", champion="second")
    assert not judged_against_another(workspace, registry, "outfits")
    registry.rollback("outfits")
    assert judged_against_another(workspace, registry, "outfits"), "an operator rolled back meanwhile"


def test_a_candidate_that_was_promoted_before_its_verdict_was_recorded_keeps_it(
    workspace: Workspace, registry: Registry, tmp_path: Path
) -> None:
    """Killed between the two: compared with itself it would lose."""
    registry.promote("outfits", register(registry, tmp_path, "old").version)
    registry.promote("outfits", register(registry, tmp_path, "new").version)
    write_metrics(workspace, "new", champion="old")
    assert not judged_against_another(workspace, registry, "outfits")


def test_a_judged_candidate_is_not_compared_again(workspace: Workspace, registry: Registry, tmp_path: Path) -> None:
    registry.promote("outfits", register(registry, tmp_path, "champion").version)
    version = register(registry, tmp_path, "candidate")
    registry.tag(version, {JUDGED: "true", "verdict": "kept champion"})
    write_metrics(workspace, "candidate", champion="an older one")
    assert not judged_against_another(workspace, registry, "outfits")
    outcome = judge_candidate(workspace, registry, "outfits")
    assert outcome.verdict == "nothing new"
    assert outcome.version == "1"


def test_a_copy_that_answers_as_recorded_becomes_champion(
    workspace: Workspace, registry: Registry, candidate: Candidate
) -> None:
    assert candidate.folder.is_dir()
    assert judge_candidate(workspace, registry, "outfits").verdict == "promoted"


def test_a_judged_version_shows_its_verdict_and_figures_on_mlflows_page(
    workspace: Workspace, registry: Registry, candidate: Candidate
) -> None:
    candidate.forget_what_it_learnt()
    outcome = judge_candidate(workspace, registry, "outfits")
    client = MlflowClient(registry.uri)
    version = client.get_model_version(registry.name("outfits"), "1")
    assert version.description.startswith(f"fitb_both 0.6000, rejected: {outcome.reasons[0]}")
    assert "| **fitb_both** | 0.6000 | mean of fitb and fitb_untitled" in version.description
    run = client.get_run(version.run_id)
    assert (run.info.run_name, run.data.metrics) == ("outfits v1", {"test/fitb_both": 0.6})


def test_a_version_that_was_registered_before_a_kill_gets_its_page_by_the_next_night(
    workspace: Workspace, registry: Registry, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert candidate.folder.is_dir()
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "publish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            judge_candidate(workspace, registry, "outfits")
    assert JUDGED not in registry.version("outfits", "1").tags
    judge_candidate(workspace, registry, "outfits")
    assert MlflowClient(registry.uri).get_model_version(registry.name("outfits"), "1").description


def test_a_copy_that_answers_wrongly_is_registered_but_never_promoted(
    workspace: Workspace, registry: Registry, candidate: Candidate
) -> None:
    candidate.forget_what_it_learnt()
    outcome = judge_candidate(workspace, registry, "outfits")
    assert outcome.verdict == "rejected"
    assert "does not answer as it did when it was trained" in outcome.reasons[0]
    assert registry.at("outfits", CHAMPION) is None
    challenger = registry.at("outfits", CHALLENGER)
    assert challenger is not None
    assert challenger.tags[JUDGED] == "true"
    assert judge_candidate(workspace, registry, "outfits").verdict == "nothing new"
    assert len(registry.versions("outfits")) == 1


def with_floor(floor: float) -> Workspace:
    return Workspace(profile_paths("sample"), load_profile("sample", [f"gate.outfits.floor={floor}"]))


def test_a_rejected_candidate_is_judged_again_when_the_gates_rule_has_changed(
    registry: Registry, candidate: Candidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert candidate.folder.is_dir()
    assert judge_candidate(with_floor(0.7), registry, "outfits").verdict == "rejected"
    assert judge_candidate(with_floor(0.7), registry, "outfits").verdict == "nothing new"
    with monkeypatch.context() as patch:
        patch.setattr(Registry, "publish", interrupted)
        with pytest.raises(KeyboardInterrupt):
            judge_candidate(with_floor(0.5), registry, "outfits")
    outcome = judge_candidate(with_floor(0.5), registry, "outfits")
    assert (outcome.verdict, outcome.version) == ("promoted", "1")
    (version,) = registry.versions("outfits")
    assert '"floor":0.5' in version.tags["gate_rule"]
    assert version.tags["verdict"] == "promoted"


def test_a_version_that_has_served_is_not_judged_by_a_later_rule(
    registry: Registry, candidate: Candidate, tmp_path: Path
) -> None:
    assert candidate.folder.is_dir()
    judge_candidate(with_floor(0.5), registry, "outfits")
    assert judge_candidate(with_floor(0.7), registry, "outfits").verdict == "nothing new"
    by_hand = register(registry, tmp_path, "by hand")
    registry.promote("outfits", by_hand.version)  # an operator's decision, which no later night takes back
    outcome = judge_candidate(with_floor(0.4), registry, "outfits")
    assert (outcome.verdict, outcome.version) == ("nothing new", by_hand.version)


def test_a_changed_rule_asks_for_the_comparison_with_todays_champion(
    registry: Registry, candidate: Candidate, tmp_path: Path
) -> None:
    assert candidate.folder.is_dir()
    judge_candidate(with_floor(0.7), registry, "outfits")
    registry.promote("outfits", register(registry, tmp_path, "by hand").version)
    assert not judged_against_another(with_floor(0.7), registry, "outfits")
    assert judged_against_another(with_floor(0.5), registry, "outfits")


def interrupted(*_arguments: object) -> None:
    raise KeyboardInterrupt


def killed(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
    """The smoke test's process, ended by the kernel as one that needs too much memory is."""
    script = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    return run_process([command[0], "-c", script], **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("fault", ["out of time", "killed", "cannot be loaded"])
def test_a_check_that_could_not_be_carried_out_is_no_verdict_and_is_tried_again(
    workspace: Workspace, registry: Registry, candidate: Candidate, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    weights = candidate.folder / "model.safetensors"
    whole = weights.read_bytes()
    with monkeypatch.context() as patch:
        if fault == "out of time":
            night = workspace.profile.night.model_copy(update={"check_timeout_minutes": 0.001})
            patch.setattr(workspace, "profile", workspace.profile.model_copy(update={"night": night}))
        elif fault == "killed":
            patch.setattr("flows.model_process.subprocess.run", killed)
        else:
            weights.unlink()
        with pytest.raises(StageError, match="the smoke test of outfits version 1") as caught:
            judge_candidate(workspace, registry, "outfits")
    assert caught.value.transient is (fault != "cannot be loaded")
    version = registry.version("outfits", "1")
    assert JUDGED not in version.tags
    assert version.aliases == []
    if fault == "cannot be loaded":
        weights.write_bytes(whole)
        candidate.folder.rename(candidate.folder.with_name("other"))
        Candidate(workspace, candidate.folder.with_name("other"), "trained again")
    outcome = judge_candidate(workspace, registry, "outfits")
    assert outcome.verdict == "promoted"


def zero_the_champion(registry: Registry, own_home: Path) -> None:
    file = stored(registry, own_home)
    file.write_bytes(bytes(file.stat().st_size))


def test_a_champion_whose_stored_weights_were_set_to_zero_is_put_back_from_a_whole_copy(
    workspace: Workspace, registry: Registry, candidate: Candidate, own_home: Path
) -> None:
    judge_candidate(workspace, registry, "outfits")
    whole = content_hash(candidate.folder)
    zero_the_champion(registry, own_home)
    found = fetch_champions(workspace, registry)
    assert (found.versions, found.problems, found.put_back) == ({"outfits": "1"}, {}, ["outfits"])
    assert content_hash(stored(registry, own_home).parent) == whole
    assert content_hash(workspace.folder / "champions" / "outfits") == whole


def test_a_champion_whose_stored_weights_were_set_to_zero_is_never_packed(
    workspace: Workspace, registry: Registry, candidate: Candidate, own_home: Path
) -> None:
    judge_candidate(workspace, registry, "outfits")
    candidate.forget_what_it_learnt()  # no whole copy is left on this machine
    zero_the_champion(registry, own_home)
    found = fetch_champions(workspace, registry)
    assert found.versions == {}
    assert "are not those that were registered" in found.problems["outfits"]
    assert read_json(workspace.folder / "champions" / "champions.json", "the manifest") == {}
    assert not (workspace.folder / "champions" / "outfits").exists()


def test_champions_that_a_killed_run_fetched_in_part_are_fetched_again(
    workspace: Workspace, registry: Registry, tmp_path: Path
) -> None:
    registry.promote("outfits", register(registry, tmp_path, "first").version)
    assert fetch_champions(workspace, registry).versions == {"outfits": "1"}
    folder = workspace.folder / "champions"
    registry.promote("outfits", register(registry, tmp_path, "second").version)
    # Killed after the new copy came and before the manifest: the manifest names no copy that is not there.
    write_json(folder / "champions.json", {})
    write_json(folder / "outfits" / "config.json", {"candidate": "half"})
    assert fetch_champions(workspace, registry).versions == {"outfits": "2"}
    assert read_json(folder / "outfits" / "config.json", "config") == {"candidate": "second"}
    # Killed while the old copy was being replaced: a part of it is gone. Or a file was changed.
    for damage in ("", '{"candidate": "changed"}'):
        write_text(folder / "outfits" / "config.json", damage)
        assert fetch_champions(workspace, registry).versions == {"outfits": "2"}
        assert read_json(folder / "outfits" / "config.json", "config") == {"candidate": "second"}


def test_a_champion_that_is_gone_from_the_registry_leaves_the_working_copy(
    workspace: Workspace, registry: Registry
) -> None:
    write_json(workspace.folder / "champions" / "outfits" / "config.json", {})
    assert fetch_champions(workspace, registry).versions == {}
    assert not (workspace.folder / "champions" / "outfits").exists()


def test_the_verdict_beside_a_damaged_champion_does_not_call_itself_the_first(
    workspace: Workspace, registry: Registry, candidate: Candidate, tmp_path: Path
) -> None:
    registry.promote("outfits", register(registry, tmp_path, "damaged").version)
    assert candidate.folder.is_dir()
    outcome = judge_candidate(workspace, registry, "outfits")
    assert outcome.verdict == "promoted"
    assert "the champion cannot be judged any more: the files of version 1 are damaged" in outcome.reasons[0]


@pytest.mark.parametrize("left", ["", '{"outfits": {"version": "1"', "[]"])
def test_an_unreadable_manifest_is_made_again_from_the_registry(
    workspace: Workspace, registry: Registry, tmp_path: Path, left: str
) -> None:
    registry.promote("outfits", register(registry, tmp_path, "first").version)
    fetch_champions(workspace, registry)
    manifest = workspace.folder / "champions" / "champions.json"
    whole = manifest.read_text(encoding="utf-8")
    manifest.write_text(left, encoding="utf-8")
    assert fetch_champions(workspace, registry).versions == {"outfits": "1"}
    assert manifest.read_text(encoding="utf-8") == whole


def test_a_candidate_whose_run_cannot_be_read_is_registered_all_the_same(
    workspace: Workspace, registry: Registry, candidate: Candidate
) -> None:
    assert candidate.folder.is_dir()
    write_text(workspace.folder / "checkpoints" / "outfits" / "candidate" / "run.json", "")
    assert judge_candidate(workspace, registry, "outfits").verdict == "promoted"
