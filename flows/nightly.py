"""The night: prepare, train and judge three models, index, package, report.

Prefect decides when to run and how often to retry; DVC (through `flows.stages`) decides whether there is anything to do. The
steps are in `flows.night_steps`. A night with problems ends as failed, with a report of everything that it did.
"""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

import httpx
from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL

from aura.errors import AuraError
from aura.lineage import git_commit
from aura.paths import check_temporary_folder, profile_paths
from aura.private_home import keep_private
from aura.registry import CHAMPION, Registry
from aura.training_sources import notice_of
from flows.clock import now
from flows.disk_use import folder_bytes
from flows.example_photo import keep_example
from flows.heartbeat import beat
from flows.night_metrics import Serves, write_night_metrics
from flows.night_steps import STEPS, Night
from flows.prefect_errors import prefect_error
from flows.profile import load_profile
from flows.report import REPORT, NightReport, to_markdown, write_report
from flows.snapshots import night_tag
from flows.worker import mark_crashed
from flows.workspace import Workspace
from inference.retrieval.releases import readable_release
from training.models import MODELS


class NightError(AuraError):
    """A night ended with problems; carries its report."""

    code = "night_failed"

    def __init__(self, report: NightReport) -> None:
        super().__init__(f"the night ended with problems in: {', '.join(report.problems)}", hint="see the report")
        self.report = report


class _ToldInWords(logging.Filter):
    """Leaves the trace out of a log line about an error that is told in words: one of ours, or Prefect's server is away."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], AuraError | httpx.HTTPError):
            record.exc_info = None
        return True


_told_in_words = _ToldInWords()
_reports: list[NightReport] = []
"""Reports of the nights of this process: the work is done before Prefect hears of its end, and Prefect may be away then."""


def run(profile: str, overrides: list[str]) -> NightReport:
    """A night that a person waits for: its report, also when it has problems.

    Raises:
        PrefectUnavailableError: Prefect's server failed before there was a report.
        AuraError: as `nightly`, but for `NightError`.
    """
    _reports.clear()
    try:
        return nightly(profile=profile, overrides=overrides)
    except NightError as error:
        return error.report
    except AuraError:
        raise
    except Exception as error:
        told = prefect_error(error, PREFECT_API_URL.value())
        if told is None:
            raise
        if not _reports:
            raise told from error
        return replace(_reports[-1], problems=_reports[-1].problems | {"Prefect": str(told)})


def _flow_run_name() -> str:
    parameters = flow_run.parameters
    return f"{parameters.get('profile', 'sample')} {now():%Y-%m-%d %H:%M}"


@flow(name="nightly", flow_run_name=_flow_run_name, validate_parameters=False, persist_result=False)
def nightly(profile: str = "sample", overrides: list[str] | None = None) -> NightReport:
    """One night of one profile.

    Raises:
        BusyError: another run of the profile is under way on this machine, or a command until the night's deadline.
        SettingsError: the profile or an override is wrong.
        NightError: a step failed; the others ran, and the report was written.
    """
    keep_private()  # a worker of Prefect's runs this without the `aura` command
    began, moment = time.monotonic(), now()
    for name in ("prefect.flow_runs", "prefect.task_runs"):
        logging.getLogger(name).addFilter(_told_in_words)
    settings = load_profile(profile, overrides or ())
    check_temporary_folder()
    workspace = Workspace(profile_paths(settings.profile), settings)
    deadline = began + settings.night.deadline_minutes * 60
    # A backup or a maintenance may take an hour with a slow remote: a night that begins late is better than none.
    left = deadline - time.monotonic()
    with workspace.lock.held(str(flow_run.id), get_run_logger().info, wait_seconds=left) as died:
        _mark_killed_run(died)
        registry = Registry(settings.tracking, settings.profile)
        night = Night(workspace, registry, night_tag(moment), deadline)
        night.run(STEPS)
        report = NightReport(
            profile=settings.profile, started=moment, seconds=time.monotonic() - began, flow_run_id=str(flow_run.id),
            outcomes=[night.outcome(model) for model in MODELS], stages=night.stages,
            index=night.results.get("index") or {}, bentos=night.results.get("package") or {},
            snapshot=night.results.get("record") or "not recorded", git_commit=git_commit(),
            links=_links(workspace, registry, moment, night), problems=night.problems,
            notices=night.guarded("notices", lambda: _notices(workspace)) or {},
            removed=night.results.get("retention") or [],
            feedback=night.results.get("feedback"), saved_outfits=night.results.get("saved outfits"),
            drift=night.results.get("predictions"),
            pictures=night.guarded("pictures", lambda: _keep_pictures(workspace, night.tag)) or [],
            disk=night.guarded("disk", lambda: folder_bytes(workspace.paths.home)) or {},
        )  # fmt: skip
        _reports.append(report)
        # On a full disk the terminal still shows the whole table, with this problem in it.
        night.guarded("report", lambda: _publish(report, workspace))
        night.guarded("metrics", lambda: _tell_prometheus(report, night))
    if report.problems:
        raise NightError(report)
    beat(settings.night.heartbeat_url.get_secret_value(), get_run_logger())
    return report


def _mark_killed_run(died: str) -> None:
    """Mark the flow run of a killed process as crashed: Prefect does not learn it by itself."""
    if not died:
        return
    get_run_logger().warning("the previous run was killed; this run continues its work")
    if died == str(flow_run.id):  # this very run, retried on Prefect's page
        return
    with get_client(sync_client=True) as client:
        if problem := mark_crashed(client, UUID(died), "the process was killed"):
            get_run_logger().warning(problem)


def _notices(workspace: Workspace) -> dict[str, str]:
    """What must be known of the champions' trainings, by model."""
    found = {model: notice_of(workspace.folder / "champions" / model) for model in MODELS}
    return {model: notice for model, notice in found.items() if notice}


def _links(workspace: Workspace, registry: Registry, moment: datetime, night: Night) -> dict[str, str]:
    data = workspace.folder / "data"
    example = (
        night.guarded("example photo", lambda: keep_example(data, workspace.paths.reports))
        if "prepare" in night.results and "prepare" not in night.problems
        else None
    )
    return {
        "MLflow": f"{registry.uri}  (aura ui opens it)",
        "Prefect": "flow runs and the report as an artifact  (aura ui opens it)",
        "Report": str(workspace.paths.reports / night_tag(moment) / REPORT),
        "Services": "aura serve",
    } | ({"Photo": f"{example}  (of the test split, to try the services with)"} if example else {})


def _keep_pictures(workspace: Workspace, name: str) -> list[Path]:
    """Copy the pictures beside the report: those in the working copy are replaced by the next training."""
    kept = []
    for picture in sorted((workspace.folder / "plots").rglob("*.png")):
        target = workspace.paths.reports / name / f"{picture.parent.name}-{picture.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, target)
        kept.append(target)
    return kept


def _tell_prometheus(report: NightReport, night: Night) -> None:
    home = night.workspace.paths.home
    champions = {model: night.registry.at(model, CHAMPION) for model in MODELS}
    release = readable_release(night.workspace.index)
    serves = Serves(
        champions={
            model: (version.version, datetime.fromisoformat(version.created))
            for model, version in champions.items()
            if version
        },
        index=(release.number, datetime.fromisoformat(release.built_at)) if release else None,
    )
    write_night_metrics(report, night.ended_well(), serves, home)


def _publish(report: NightReport, workspace: Workspace) -> None:
    write_report(report, workspace.paths.reports, night_tag(report.started))
    # Without the pictures: they are files of this machine, which Prefect's page cannot show.
    create_markdown_artifact(
        key=f"nightly-{report.profile}", markdown=to_markdown(replace(report, pictures=()), workspace.paths.reports),
        description="Report of the night",
    )  # fmt: skip
