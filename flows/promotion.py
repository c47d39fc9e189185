"""Promotion: register a candidate once, check the registered copy, apply the gate, move the aliases.

Every step can be repeated: after a kill the next night finishes the rest. A candidate is judged once by a rule, so that the next
night does not undo an operator's rollback. One that was turned down is judged again when the gate's rule has changed: nothing is
trained for it.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from aura.artifact import content_hash, read_json, replace_dir, write_json
from aura.errors import (
    ArtifactError,
    DamagedArtifactError,
    RegistryError,
    WrongAnswerError,
)
from aura.lineage import value_hash
from aura.registry import ARTIFACT_HASH, CHALLENGER, CHAMPION, FILES_REMOVED, PREVIOUS, ModelVersion, Registry
from aura.scratch import scratch_folder
from aura.tracking import recorded_run
from flows.gate import PROMOTED, Verdict, judge
from flows.model_card import version_page
from flows.smoke_tested import smoke_test_version
from flows.workspace import Workspace
from training.models import MODELS
from training.spec import GateRule

logger = logging.getLogger(__name__)
JUDGED = "judged"
"""Tag of a version that has a verdict."""
GATE_RULE = "gate_rule"
"""Tag with the rule, as JSON, that a version was judged by."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One row of the night's table.

    Attributes:
        champion: the metric of the champion before the night, None when there was none.
        challenger: the metric of the newest candidate.
        verdict: `promoted`, `kept champion`, `rejected`, `nothing new` or `failed`.
        version: version that serves now, None when none does.
        seconds: training and evaluation, as measured when they ran.
        finding: `better`, `worse`, `cannot tell`, or `alone` without a champion; None when nothing was compared.
        judging: the judging half's differences from champion and controls, as `training.evaluate` wrote them.
        average: which average of champion and challenger the candidate is (`training.average_record`); None: none was tried.
    """

    model: str
    metric: str
    champion: float | None
    challenger: float | None
    verdict: str
    reasons: list[str]
    version: str | None
    seconds: float
    finding: str | None = None
    judging: dict[str, Any] = field(default_factory=dict)
    average: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def judge_candidate(workspace: Workspace, registry: Registry, model: str) -> Outcome:
    """Register, check and judge the candidate that lies in the working copy."""
    comparison = read_json(workspace.folder / "metrics" / "test" / f"{model}.json", f"the comparison for {model}")
    seconds = comparison["seconds"] + read_json(
        workspace.folder / "metrics" / "train" / f"{model}.json", f"the training metrics of {model}"
    ).get("seconds", 0.0)
    champion_before = registry.at(model, CHAMPION)
    if (
        comparison["champion_candidate_id"] is None
        and champion_before is not None
        and champion_before.tags.get("candidate_id") != comparison["candidate_id"]
    ):
        # It had no copy that could be evaluated; `fetch_champions` has reported why.
        comparison["champion_problem"] = f"the files of version {champion_before.version} are damaged"
    rule = workspace.profile.gate.rule(model)
    verdict = judge(comparison, rule)
    version = registry.find(model, comparison["candidate_id"])
    known = version is not None and _verdict_stands(version, rule)
    if known and version is not None:
        reasons = [f"this candidate is version {version.version}, {version.tags['verdict']} before"]
        label = "nothing new"
    else:
        if version is not None and version.tags.get(JUDGED) == "true":
            logger.info("%s version %s is judged again: the gate's rule has changed", model, version.version)
            registry.tag(version, {JUDGED: "false"})  # after a kill the next night goes on here
        version = version or _register(workspace, registry, model, comparison, verdict)
        verdict = _check_copy(workspace, registry, version, verdict)
        registry.set_alias(model, CHALLENGER, version.version)
        if verdict.promote:
            registry.promote(model, version.version)
        reasons, label = verdict.reasons, verdict.label
        page = version_page(MODELS[model], version.version, comparison, verdict, champion_before)
        try:
            registry.publish(version, page)
        except RegistryError as error:  # it is for people, and must not keep the verdict from being recorded
            if error.transient:
                raise
            logger.warning("MLflow's page of %s version %s was not written: %s", model, version.version, error)
        told = {"verdict": label, "reasons": "; ".join(reasons), GATE_RULE: rule.model_dump_json()}
        registry.tag(version, told | {JUDGED: "true"})
    serving = registry.at(model, CHAMPION)
    champion = verdict.champion
    if known and serving is not None and serving.version == version.version:
        champion = verdict.challenger  # an earlier run promoted it
    return Outcome(
        model=model, metric=verdict.metric, champion=champion, challenger=verdict.challenger, verdict=label,
        reasons=reasons, version=serving.version if serving else None, seconds=round(seconds, 1), finding=verdict.finding,
        judging=comparison["judging"], average=comparison.get("average"),
    )  # fmt: skip


def _verdict_stands(version: ModelVersion, rule: GateRule) -> bool:
    """Whether a version has a verdict, and one by this rule.

    By another rule, a version that has served keeps its verdict: people may have put it in its place since. So does one whose
    files are gone, and one that was judged before versions carried their rule.
    """
    if version.tags.get(JUDGED) != "true":
        return False
    served = version.tags.get("verdict") == PROMOTED or not {CHAMPION, PREVIOUS}.isdisjoint(version.aliases)
    by = version.tags.get(GATE_RULE)
    return served or by in (None, rule.model_dump_json()) or FILES_REMOVED in version.tags


def judged_against_another(workspace: Workspace, registry: Registry, model: str) -> bool:
    """Whether a candidate without a verdict was compared with a version that is not the champion, or no longer is.

    It happens after a rollback or promotion by hand, and when a model was trained without the registry.
    """
    comparison = read_json(workspace.folder / "metrics" / "test" / f"{model}.json", f"the comparison for {model}")
    version = registry.find(model, comparison["candidate_id"])
    if version is not None and _verdict_stands(version, workspace.profile.gate.rule(model)):
        return False
    champion = registry.at(model, CHAMPION)
    if champion is not None and champion.tags.get("candidate_id") == comparison["candidate_id"]:
        return False  # killed between the promotion and the verdict's tag: the verdict stands
    return comparison["champion_candidate_id"] != (champion.tags.get("candidate_id") if champion else None)


def failed(workspace: Workspace, registry: Registry, model: str, reason: str) -> Outcome:
    """Row of a model whose stages failed; its champion goes on serving."""
    try:
        serving = registry.at(model, CHAMPION)
    except Exception:  # the store may be what failed, and the night's report must come all the same
        serving = None
    return Outcome(
        model=model, metric=workspace.profile.gate.rule(model).metric, champion=None, challenger=None, verdict="failed",
        reasons=[reason], version=serving.version if serving else None, seconds=0.0,
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Champions:
    """The champions that lie in the working copy.

    Attributes:
        versions: model to version.
        problems: model to why the registry's copy of the champion cannot be used.
        put_back: models whose damaged files in the store were replaced from a whole copy.
    """

    versions: dict[str, str]
    problems: dict[str, str]
    put_back: list[str]


def fetch_champions(workspace: Workspace, registry: Registry) -> Champions:
    """Bring `champions/` in step with the registry, and check that the registry still has what was registered.

    `champions.json` is written last: it names only complete copies.
    """
    folder = workspace.folder / "champions"
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "champions.json"
    have = _manifest(manifest)
    want: dict[str, dict[str, str]] = {}
    problems: dict[str, str] = {}
    put_back: list[str] = []
    for model in MODELS:
        champion = registry.at(model, CHAMPION)
        if champion is None:
            continue
        try:
            champion = registry.with_hash(champion)
        except DamagedArtifactError as error:
            problems[model] = str(error)
            continue
        identity = {
            "version": champion.version,
            "candidate_id": champion.tags.get("candidate_id", ""),
            "content_hash": champion.tags.get(ARTIFACT_HASH, ""),
        }
        # Taken out of the manifest first: after a kill in between, the next run must not take the new copy for the old version.
        if have.get(model) != identity:
            write_json(manifest, {name: entry for name, entry in have.items() if name != model})
        try:
            with scratch_folder(folder, ".stored-") as scratch:
                stored, restored = _stored_copy(workspace, registry, champion, scratch / model)
                if not (folder / model).is_dir() or content_hash(folder / model) != identity["content_hash"]:
                    replace_dir(stored, folder / model)
        except DamagedArtifactError as error:
            problems[model] = str(error)
            continue
        put_back += [model] * restored
        want[model] = identity
    for model in set(MODELS) - set(want):
        shutil.rmtree(folder / model, ignore_errors=True)
    if not manifest.is_file() or _manifest(manifest) != want:
        write_json(manifest, want)
    return Champions(
        versions={model: entry["version"] for model, entry in want.items()}, problems=problems, put_back=put_back
    )


def _manifest(file: Path) -> dict[str, dict[str, str]]:
    """Content of `champions.json`; empty when it is missing or broken: every copy is then checked against the registry."""
    try:
        found = read_json(file, "the champions' manifest")
    except ArtifactError as error:
        if file.is_file():
            logger.warning("made again from the registry: %s", error.message)
        return {}
    return found if isinstance(found, dict) else {}


def _stored_copy(workspace: Workspace, registry: Registry, champion: ModelVersion, target: Path) -> tuple[Path, bool]:
    """Copy of a champion's files from the store, and whether damaged files were first replaced from a whole copy.

    Raises:
        DamagedArtifactError: they are damaged, and this machine has no whole copy.
    """
    try:
        return registry.download(champion, target), False
    except DamagedArtifactError:
        copies = [workspace.folder / parent / champion.model for parent in ("champions", "models")]
        if not any(registry.put_back(champion, copy) for copy in copies):
            raise
        return registry.download(champion, target), True  # raises again when the store has a file too many


def _register(
    workspace: Workspace, registry: Registry, model: str, comparison: dict[str, Any], verdict: Verdict
) -> ModelVersion:
    artifact = workspace.folder / "models" / model
    lineage = read_json(artifact / "lineage.json", f"the lineage of {model}")
    # The settings of the training; the current ones may differ.
    params = read_json(artifact / "params.json", f"the settings of {model}")
    tags = {key: str(value) for key, value in lineage.items()} | {
        "config_hash": value_hash(params),
        "profile": workspace.profile.profile,
        "test": ", ".join(f"{name}={value:.4f}" for name, value in sorted(comparison["challenger"]["metrics"].items())),
        "gate_metric": verdict.metric,
    }
    with tempfile.TemporaryDirectory(prefix="aura-lineage-") as name:
        attachments = Path(name)
        write_json(attachments / "comparison.json", comparison)
        write_json(attachments / "params.json", params)
        for file in ("dvc.lock", "dvc.yaml"):
            (attachments / file).write_bytes((workspace.folder / file).read_bytes())
        return registry.register(
            model,
            artifact,
            run_id=_run_id(workspace, model, lineage["candidate_id"]),
            tags=tags,
            attachments=attachments,
        )


def _run_id(workspace: Workspace, model: str, candidate_id: str) -> str | None:
    """MLflow run of the training, from the file beside its checkpoints."""
    return recorded_run(workspace.folder / "checkpoints" / model / candidate_id[:16])


def _check_copy(workspace: Workspace, registry: Registry, version: ModelVersion, verdict: Verdict) -> Verdict:
    """Fetch the registered copy and run its smoke test in a separate process.

    Raises:
        StageError: the test could not run, which says nothing about the model: only a wrong answer is a verdict.
    """
    try:
        smoke_test_version(
            registry, version, device=workspace.profile.serving.device,
            seconds=workspace.profile.night.check_timeout_minutes * 60, folder=workspace.folder,
            environment=workspace.environment(),
        )  # fmt: skip
    except WrongAnswerError as error:
        return replace(verdict, promote=False, reasons=[f"the registered copy fails its smoke test: {error.message}"])
    return verdict
