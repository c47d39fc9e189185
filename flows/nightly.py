"""The night: prepare, train and judge three models, index, package, report.

Prefect decides when and how hard to try; DVC (through `flows.stages`) whether there is anything to do. A model whose
stages fail does not take the others down: its champion goes on serving, and the night ends as failed with a report.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import Task, flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run
from prefect.states import Crashed

from aura.artifact import read_json
from aura.errors import AuraError, DeadlineError
from aura.lineage import git_commit
from aura.paths import profile_paths
from aura.registry import Registry
from flows.heartbeat import beat
from flows.ledger import night_tag, record
from flows.package import bentos_current
from flows.profile import load_profile
from flows.report import REPORT, NightReport, to_markdown, write_report
from flows.settle import Champions, Outcome, failed, fetch_champions, judged_against_another, settle
from flows.stages import StageResult, run_stage
from flows.workspace import Workspace
from inference.retrieval.releases import served_release
from training.models import MODELS


class NightError(AuraError):
    """A night that ended with problems; carries its report."""

    code = "night_failed"

    def __init__(self, report: NightReport) -> None:
        super().__init__(f"the night ended with problems in: {', '.join(report.problems)}", hint="see the report")
        self.report = report


@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
def stage_task(workspace: Workspace, stage: str, timeout_minutes: float, force: bool = False) -> StageResult:
    """Bring one stage of `dvc.yaml` up to date."""
    logger = get_run_logger()
    result = run_stage(workspace, stage, timeout_seconds=timeout_minutes * 60, say=logger.info, force=force)
    logger.info("%s: %s after %.0f s", stage, "done" if result.ran else "nothing to do", result.seconds)
    return result


@task(name="settle", task_run_name="settle {model}", cache_policy=NO_CACHE, persist_result=False)
def settle_task(workspace: Workspace, registry: Registry, model: str) -> Outcome:
    """Register the candidate, apply the gate, move the aliases."""
    outcome = settle(workspace, registry, model)
    get_run_logger().info("%s: %s (%s)", model, outcome.verdict, "; ".join(outcome.reasons))
    return outcome


@task(name="compare", task_run_name="compare {model}", cache_policy=NO_CACHE, persist_result=False)
def compare_task(workspace: Workspace, registry: Registry, model: str) -> bool:
    """Whether the candidate must be evaluated again, beside the champion of this moment."""
    return judged_against_another(workspace, registry, model)


@task(name="champions", cache_policy=NO_CACHE, persist_result=False)
def champions_task(workspace: Workspace, registry: Registry) -> Champions:
    """Bring the champions' artifacts into the working copy."""
    champions = fetch_champions(workspace, registry)
    logger = get_run_logger()
    found = ", ".join(f"{model} v{version}" for model, version in champions.versions.items())
    logger.info("champions: %s", found or "none yet")
    for model in champions.put_back:
        logger.warning(
            "%s: the registry's files of the champion were damaged, and were put back from a whole copy", model
        )
    return champions


@task(name="record", cache_policy=NO_CACHE, persist_result=False)
def record_task(workspace: Workspace, tag: str) -> str:
    """Push snapshots and commit the night in the working copy."""
    return record(workspace, tag)


class _Night:
    """What a running night has collected so far."""

    def __init__(self, workspace: Workspace, registry: Registry, deadline: float) -> None:
        """`deadline`: value of `time.monotonic()` after which nothing more is begun."""
        self.workspace, self.registry, self.deadline = workspace, registry, deadline
        self.stages: list[StageResult] = []
        self.problems: dict[str, str] = {}

    def seconds_left(self) -> float:
        """Seconds until the deadline.

        Raises:
            DeadlineError: there are none.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            minutes = self.workspace.profile.night.deadline_minutes
            raise DeadlineError(
                f"the night's {minutes:.0f} minutes are over", hint="raise night.deadline_minutes, or train for less"
            )
        return left

    def stage(self, name: str, *, force: bool = False) -> None:
        settings = self.workspace.profile.night
        minutes = settings.package_timeout_minutes if name == "package" else settings.stage_timeout_minutes
        patient = stage_task.with_options(**self._retry_options(settings.stage_retries))
        self.stages.append(patient(self.workspace, name, min(minutes, self.seconds_left() / 60), force))

    def store(self, work: Task[..., Any], *arguments: Any) -> Any:
        """Run a task that reads or writes registry or snapshots, patiently: their servers may be restarting."""
        self.seconds_left()
        return work.with_options(**self._retry_options(self.workspace.profile.night.store_retries))(*arguments)

    def _retry_options(self, retries: int) -> dict[str, Any]:
        first = self.workspace.profile.night.retry_delay_seconds
        delays = [first * 2**attempt for attempt in range(retries)]

        # A function and no method: Prefect takes anything else for a plain yes or no, and a method for no.
        def worth_another_try(_task: Any, _run: Any, state: Any) -> bool:
            """Bad settings or data would be found again; what was killed or away may do better."""
            try:
                state.result()
            except AuraError as error:
                return error.transient and time.monotonic() < self.deadline
            except Exception:
                return False
            return False

        return {"retries": retries, "retry_delay_seconds": delays or None, "retry_condition_fn": worth_another_try}

    def guarded(self, name: str, work: Callable[[], Any]) -> Any:
        """Run a part of the night; what goes wrong is a line of the report, not the end of the night."""
        try:
            return work()
        except AuraError as error:
            self.problems[name] = str(error)
            get_run_logger().error("%s failed: %s", name, error)
        except OSError as error:  # a full disk: where in the code it was noticed tells nobody anything
            self.problems[name] = f"{type(error).__name__}: {error}"
            get_run_logger().error("%s failed: %s", name, error)
        except Exception as error:  # a bug: the report must say so, and the other parts go on
            self.problems[name] = f"{type(error).__name__}: {error}"
            get_run_logger().exception("%s failed", name)
        return None

    def fetch_champions(self) -> None:
        """A champion that is damaged in the registry is a problem of its own, and keeps no challenger out."""
        champions: Champions = self.store(champions_task, self.workspace, self.registry)
        for model, problem in champions.problems.items():
            self.problems[f"champion of {model}"] = problem
            get_run_logger().error("champion of %s: %s", model, problem)

    @property
    def blocked(self) -> str:
        """The part without which no other one can work, when it failed; else empty."""
        return next((part for part in ("working copy", "champions", "prepare") if part in self.problems), "")

    def model(self, name: str) -> Outcome:
        if self.blocked:
            return failed(self.workspace, self.registry, name, f"not tried: {self.blocked} failed")

        def work() -> Outcome:
            self.stage(f"train_{name}")
            self.stage(f"evaluate_{name}")
            if self.store(compare_task, self.workspace, self.registry, name):
                self.stage(f"evaluate_{name}", force=True)
            outcome: Outcome = self.store(settle_task, self.workspace, self.registry, name)
            return outcome

        outcome = self.guarded(name, work)
        return outcome or failed(self.workspace, self.registry, name, self.problems[name].splitlines()[0])


def _flow_run_name() -> str:
    parameters = flow_run.parameters
    return f"{parameters.get('profile', 'sample')} {datetime.now():%Y-%m-%d %H:%M}"


@flow(name="nightly", flow_run_name=_flow_run_name, validate_parameters=False, persist_result=False)
def nightly(profile: str = "sample", overrides: list[str] | None = None) -> NightReport:
    """One night of one profile.

    Raises:
        BusyError: another run of the profile is under way on this machine.
        SettingsError: the profile or an override is wrong.
        NightError: a part failed; the rest was done and reported.
    """
    began, moment = time.monotonic(), datetime.now().astimezone()
    settings = load_profile(profile, overrides or ())
    workspace = Workspace(profile_paths(settings.profile), settings)
    with workspace.locked(str(flow_run.id)) as died:
        _close_books(died)
        registry = Registry(settings.tracking, settings.profile)
        night = _Night(workspace, registry, deadline=began + settings.night.deadline_minutes * 60)
        night.guarded("working copy", workspace.set_up)
        if not night.blocked:
            night.guarded("champions", night.fetch_champions)
        if not night.blocked:
            night.guarded("prepare", lambda: night.stage("prepare"))
        outcomes = [night.model(name) for name in MODELS]
        index: dict[str, Any] = {}
        bentos: dict[str, str] = {}
        snapshot = ""
        if not night.blocked:
            index = night.guarded("index", lambda: _index(night)) or {}
            bentos = night.guarded("package", lambda: _package(night)) or {}
            snapshot = night.guarded("record", lambda: night.store(record_task, workspace, night_tag(moment))) or ""
        report = NightReport(
            profile=settings.profile, started=moment, seconds=time.monotonic() - began,
            flow_run_id=str(flow_run.id), outcomes=outcomes, stages=night.stages, index=index, bentos=bentos,
            snapshot=snapshot or "not recorded", git_commit=git_commit(), places=_places(workspace, registry, moment),
            problems=night.problems,
            pictures=night.guarded("pictures", lambda: _keep_pictures(workspace, night_tag(moment))) or [],
        )  # fmt: skip
        # On a full disk the terminal still has the whole table, with this as one of its problems.
        night.guarded("report", lambda: _publish(report, workspace))
    if report.problems:
        raise NightError(report)
    beat(settings.night.heartbeat_url.get_secret_value(), get_run_logger())
    return report


def _close_books(died: str) -> None:
    """Mark a flow run whose process was killed as crashed: nobody else tells Prefect."""
    if not died:
        return
    get_run_logger().warning("the run before was killed; this one carries on where it was")
    if died == str(flow_run.id):  # tried again from the page: it is this very run
        return
    with get_client(sync_client=True) as client:
        try:
            client.set_flow_run_state(UUID(died), Crashed(message="the process was killed"), force=True)
        except ObjectNotFound:  # it reported to another server
            return


def _index(night: _Night) -> dict[str, Any]:
    # The tables lie outside the working copy, so DVC does not notice when somebody deleted them.
    night.stage("index", force=served_release(night.workspace.paths.index) is None)
    figures: dict[str, Any] = read_json(night.workspace.folder / "metrics" / "index.json", "the index figures")
    return figures


def _package(night: _Night) -> dict[str, str]:
    night.fetch_champions()  # some of them may be an hour old
    # The Bento store lies outside the working copy as well.
    night.stage("package", force=not bentos_current(night.workspace))
    figures = read_json(night.workspace.folder / "metrics" / "package.json", "the package figures")
    return {service: one["tag"] for service, one in figures["bentos"].items()}


def _places(workspace: Workspace, registry: Registry, moment: datetime) -> dict[str, str]:
    return {
        "MLflow": f"{registry.uri}  (aura ui opens it)",
        "Prefect": "flow runs and the report as an artifact  (aura ui opens it)",
        "Report": str(workspace.paths.reports / night_tag(moment) / REPORT),
        "Services": "aura serve",
    }


def _keep_pictures(workspace: Workspace, name: str) -> list[Path]:
    """Copy the pictures beside the report: those in the working copy are replaced by the next training."""
    kept = []
    for picture in sorted((workspace.folder / "plots").rglob("*.png")):
        target = workspace.paths.reports / name / f"{picture.parent.name}-{picture.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, target)
        kept.append(target)
    return kept


def _publish(report: NightReport, workspace: Workspace) -> None:
    write_report(report, workspace.paths.reports, night_tag(report.started))
    create_markdown_artifact(
        key=f"nightly-{report.profile}", markdown=to_markdown(report, workspace.paths.reports),
        description="Report of the night",
    )  # fmt: skip
