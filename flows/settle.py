"""Settle a candidate: register it once, check the registered copy, apply the gate, move the aliases.

Every step can be repeated: a night that was killed between two of them finishes the rest, and a settled candidate is left
alone for good, so that an operator's rollback is not undone by the next night.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aura.artifact import content_hash, read_json, write_json
from aura.errors import RegistryError
from aura.lineage import value_hash
from aura.registry import CHALLENGER, CHAMPION, ModelVersion, Registry
from flows.workspace import Workspace
from training.gate import Verdict, judge
from training.models import MODELS


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One row of the night's table.

    Attributes:
        champion: value of the metric of the champion before the night, None when there was none.
        challenger: value of the newest candidate.
        verdict: `promoted`, `kept champion`, `rejected`, `nothing new` or `failed`.
        version: version that serves now, None when none does.
        seconds: training and evaluation, as measured when they ran.
    """

    model: str
    metric: str
    champion: float | None
    challenger: float | None
    verdict: str
    reasons: list[str]
    version: str | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def settle(workspace: Workspace, registry: Registry, model: str) -> Outcome:
    """Register, check and judge the candidate that lies in the working copy."""
    figures = read_json(workspace.folder / "metrics" / "test" / f"{model}.json", f"the figures of {model}")
    seconds = figures["seconds"] + read_json(
        workspace.folder / "metrics" / "train" / f"{model}.json", f"the training figures of {model}"
    ).get("seconds", 0.0)
    verdict = judge(figures, workspace.profile.gate.rule(model))
    version = registry.find(model, figures["candidate_id"])
    known = version is not None and version.tags.get("settled") == "true"
    if known and version is not None:
        reasons = [f"this candidate is version {version.version}, {version.tags['verdict']} before"]
        word = "nothing new"
    else:
        version = version or _register(workspace, registry, model, figures, verdict)
        verdict = _check_copy(workspace, registry, version, verdict)
        registry.set_alias(model, CHALLENGER, version.version)
        if verdict.promote:
            registry.promote(model, version.version)
        reasons, word = verdict.reasons, verdict.word
        registry.tag(version, {"verdict": word, "reasons": "; ".join(reasons), "settled": "true"})
    serving = registry.at(model, CHAMPION)
    champion = verdict.champion
    if known and serving is not None and serving.version == version.version:
        champion = verdict.challenger  # it was promoted and serves since
    return Outcome(
        model=model, metric=verdict.metric, champion=champion, challenger=verdict.challenger, verdict=word,
        reasons=reasons, version=serving.version if serving else None, seconds=round(seconds, 1),
    )  # fmt: skip


def judged_against_another(workspace: Workspace, registry: Registry, model: str) -> bool:
    """Whether the figures compare an unsettled candidate with a champion that is not the champion (any more).

    That happens after a rollback or promotion by hand, and when a model was trained without a look at the registry.
    """
    figures = read_json(workspace.folder / "metrics" / "test" / f"{model}.json", f"the figures of {model}")
    version = registry.find(model, figures["candidate_id"])
    if version is not None and version.tags.get("settled") == "true":
        return False
    champion = registry.at(model, CHAMPION)
    if champion is not None and champion.tags.get("candidate_id") == figures["candidate_id"]:
        return False  # killed between its promotion and the note of it: the verdict stands
    return figures["champion_candidate_id"] != (champion.tags.get("candidate_id") if champion else None)


def failed(workspace: Workspace, registry: Registry, model: str, reason: str) -> Outcome:
    """Row of a model whose stages failed; its champion goes on serving."""
    try:
        serving = registry.at(model, CHAMPION)
    except RegistryError:  # that may be the very reason
        serving = None
    return Outcome(
        model=model, metric=workspace.profile.gate.rule(model).metric, champion=None, challenger=None, verdict="failed",
        reasons=[reason], version=serving.version if serving else None, seconds=0.0,
    )  # fmt: skip


def fetch_champions(workspace: Workspace, registry: Registry) -> dict[str, str]:
    """Bring `champions/` in step with the registry; returns model to version.

    `champions.json` is written last: it names only complete copies.
    """
    folder = workspace.folder / "champions"
    note = folder / "champions.json"
    have = read_json(note, "the note of the champions") if note.is_file() else {}
    want: dict[str, dict[str, str]] = {}
    for model in MODELS:
        champion = registry.at(model, CHAMPION)
        if champion is None:
            continue
        identity = {"version": champion.version, "candidate_id": champion.tags.get("candidate_id", "")}
        digest = content_hash(folder / model) if (folder / model).is_dir() else ""
        # By its content: a damaged copy would let any challenger pass the gate.
        if have.get(model) != identity | {"content_hash": digest}:
            # Out of the note first: killed in between, the next run must not take the new copy for the old version.
            write_json(note, {name: one for name, one in have.items() if name != model})
            digest = content_hash(registry.download(champion, folder / model))
        want[model] = identity | {"content_hash": digest}
    for model in set(MODELS) - set(want):
        shutil.rmtree(folder / model, ignore_errors=True)
    if not note.is_file() or read_json(note, "the note of the champions") != want:
        write_json(note, want)
    return {model: one["version"] for model, one in want.items()}


def _register(
    workspace: Workspace, registry: Registry, model: str, figures: dict[str, Any], verdict: Verdict
) -> ModelVersion:
    artifact = workspace.folder / "models" / model
    lineage = read_json(artifact / "lineage.json", f"the lineage of {model}")
    params = workspace.params()
    tags = {key: str(value) for key, value in lineage.items()} | {
        "config_hash": value_hash(params),
        "profile": workspace.profile.profile,
        "test": ", ".join(f"{name}={value:.4f}" for name, value in sorted(figures["challenger"]["metrics"].items())),
        "gate_metric": verdict.metric,
    }
    with tempfile.TemporaryDirectory(prefix="aura-lineage-") as name:
        attachments = Path(name)
        write_json(attachments / "figures.json", figures)
        for file in ("dvc.lock", "dvc.yaml", "params.yaml"):
            (attachments / file).write_bytes((workspace.folder / file).read_bytes())
        return registry.register(
            model,
            artifact,
            run_id=_run_id(workspace, model, lineage["candidate_id"]),
            tags=tags,
            attachments=attachments,
        )


def _run_id(workspace: Workspace, model: str, candidate_id: str) -> str | None:
    """MLflow run of the training, from the note beside its checkpoints."""
    note = workspace.folder / "checkpoints" / model / candidate_id[:16] / "run.json"
    return str(read_json(note, "the note of the MLflow run")["run_id"]) if note.is_file() else None


def _check_copy(workspace: Workspace, registry: Registry, version: ModelVersion, verdict: Verdict) -> Verdict:
    """Fetch the registered copy and let a process of its own answer canned requests with it."""
    seconds = workspace.profile.night.check_timeout_minutes * 60
    with tempfile.TemporaryDirectory(prefix="aura-check-") as name:
        folder = registry.download(version, Path(name) / version.model)
        # On the device that will serve it: a large model may take longer on a CPU than anybody wants to wait.
        command = [sys.executable, "-m", "inference.canned", version.model, str(folder)]
        command += ["--device", workspace.profile.serving.device]
        try:
            done = subprocess.run(command, env=workspace.environment(), capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            problem = f"no answer to canned requests within {seconds:.0f} seconds (night.check_timeout_minutes)"
        else:
            problem = (done.stderr.strip() or done.stdout.strip())[-500:] if done.returncode else ""
    if not problem:
        return verdict
    return Verdict(
        promote=False, metric=verdict.metric, challenger=verdict.challenger, champion=verdict.champion,
        reasons=[f"the registered copy does not answer: {problem}"],
    )  # fmt: skip
