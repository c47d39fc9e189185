"""The weekly maintenance: what neither nights nor servers do by themselves, and what it says of disk and database.

Nothing here has a clean-up of its own where there is one already: nights' leftovers go by `flows.retention`, MLflow's by
`mlflow gc`, Prefect's by its server, dead rows by autovacuum.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from aura.errors import AuraError, BusyError
from aura.paths import home, profile_paths
from aura.private_home import keep_private
from aura.registry import Registry
from aura.tracking import store_exists
from flows.clock import now
from flows.database import in_database
from flows.disk_use import folder_bytes, growth_per_night, recorded_nights
from flows.guarded import guarded
from flows.maintenance.audit import audit
from flows.maintenance.mlflow_runs import delete_unregistered, remove_deleted
from flows.maintenance.old_logs import tidy_logs
from flows.maintenance.prefect_runs import prefect_runs
from flows.maintenance.report import REPORT, MaintenanceReport, to_markdown, write_report
from flows.maintenance.settings import MaintenanceSettings
from flows.profile import Profile, load_profile
from flows.retention import remove
from flows.workspace import Workspace
from stores.database import Database
from stores.table_health import TableHealth, analyze, table_health

_LOOKS_AGAIN_SECONDS = 30.0


class MaintenanceError(AuraError):
    """A maintenance ended with problems; carries its report."""

    code = "maintenance_failed"

    def __init__(self, report: MaintenanceReport) -> None:
        super().__init__(f"the maintenance ended with problems in: {', '.join(report.problems)}", hint="see the report")
        self.report = report


def run(profile: str, overrides: list[str]) -> MaintenanceReport:
    """A maintenance that a person waits for: its report, also when it has problems."""
    try:
        return maintenance(profile=profile, overrides=overrides)
    except MaintenanceError as error:
        return error.report


def _flow_run_name() -> str:
    return f"maintenance of {flow_run.parameters.get('profile', 'sample')} {now():%Y-%m-%d %H:%M}"


@flow(name="maintenance", flow_run_name=_flow_run_name, validate_parameters=False, persist_result=False)
def maintenance(profile: str = "sample", overrides: list[str] | None = None) -> MaintenanceReport:
    """Look after the home of a profile.

    Raises:
        BusyError: another maintenance of the profile is under way on this machine.
        SettingsError: the profile or an override is wrong.
        MaintenanceError: a part failed; the others were done, and the report was written.
    """
    keep_private()  # a worker of Prefect's runs this without the `aura` command
    settings = load_profile(profile, overrides or ())
    workspace = Workspace(profile_paths(settings.profile), settings)
    # A worker that starts meanwhile sees by it that this run is alive.
    with workspace.maintenance_lock.held(str(flow_run.id)):
        return _maintained(workspace)


def _maintained(workspace: Workspace) -> MaintenanceReport:
    began, moment, logger = time.monotonic(), now(), get_run_logger()
    settings, place = workspace.profile, home()
    policy = settings.maintenance
    problems: dict[str, str] = {}
    sentences: dict[str, str] = {}
    before = folder_bytes(place)
    tables, analyzed = guarded("database", lambda: look_after_tables(settings), problems) or (None, [])
    logs = guarded("logs", lambda: tidy_logs(place / "logs", policy.keep_logs_days), problems) or []
    if told := guarded("Prefect", lambda: prefect_runs(moment), problems):
        sentences["Prefect"], wrong = told
        problems |= {"Prefect": wrong} if wrong else {}
    vulnerabilities: list[str] = []
    if policy.audit:
        sentences["packages"], vulnerabilities = guarded("packages", audit, problems) or ("not asked", [])
    removed = guarded("lock", lambda: _under_the_lock(workspace, sentences, problems), problems) or []
    # Beside nights, one of which may be due: what is removed was deleted weeks ago, and no version has it.
    if told := guarded("MLflow", lambda: _remove_runs(settings), problems):
        sentences["MLflow"] = "; ".join(filter(None, (sentences.get("MLflow"), told)))
    report = MaintenanceReport(
        profile=settings.profile, started=moment, seconds=time.monotonic() - began, disk_before=before,
        disk_after=folder_bytes(place), growth=growth_per_night(recorded_nights(place), moment), tables=tables,
        analyzed=analyzed, removed=removed, sentences=sentences, logs=logs, vulnerabilities=vulnerabilities,
        problems=problems,
    )  # fmt: skip
    guarded("report", lambda: _publish(report), problems)
    logger.info("the report is in %s", profile_paths(report.profile).reports / REPORT)
    if problems:
        raise MaintenanceError(report)
    return report


def look_after_tables(settings: Profile) -> tuple[Sequence[TableHealth], list[str]] | None:
    """The tables of the services' database as they were found, and those that were analyzed; None without a database."""
    age = timedelta(days=settings.maintenance.statistics_days)

    async def work(database: Database) -> tuple[Sequence[TableHealth], list[str]]:
        found = await database.run(lambda connection: table_health(connection, age))
        stale = [table.table for table in found if table.statistics != "fresh"]
        for table in stale:
            await database.run(lambda connection, table=table: analyze(connection, table))  # type: ignore[misc]
        return found, stale

    return in_database(settings.serving.database, work)


def _under_the_lock(workspace: Workspace, sentences: dict[str, str], problems: dict[str, str]) -> list[str]:
    """What no night may run beside; returns what was removed of what nights have left."""
    with ExitStack() as stack:
        for attempt in _until_free(workspace.profile.maintenance):
            with attempt:
                stack.enter_context(workspace.lock.held())
        if told := guarded("MLflow", lambda: _delete_runs(workspace.profile), problems):
            sentences["MLflow"] = told
        return guarded("retention", lambda: _retention(workspace), problems) or []


def _until_free(policy: MaintenanceSettings) -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(BusyError), stop=stop_after_delay(policy.wait_minutes * 60),
        wait=wait_fixed(_LOOKS_AGAIN_SECONDS), reraise=True,
    )  # fmt: skip


def _tracked(settings: Profile) -> bool:
    return settings.tracking.enabled and store_exists(settings.tracking)


def _delete_runs(settings: Profile) -> str:
    if not _tracked(settings):
        return "nothing was ever tracked"
    uri = Registry(settings.tracking, settings.profile).uri
    deleted = delete_unregistered(uri, settings.tracking.prefix(settings.profile), settings.maintenance, now())
    return f"{deleted} runs without a version deleted, older than {settings.maintenance.keep_runs_days} days"


def _remove_runs(settings: Profile) -> str:
    if not _tracked(settings):
        return ""
    return remove_deleted(Registry(settings.tracking, settings.profile).uri, settings.maintenance)


def _retention(workspace: Workspace) -> list[str]:
    if not (workspace.folder / ".dvc" / "config").is_file():  # no night yet
        return []
    workspace.set_up()
    registry = Registry(workspace.profile.tracking, workspace.profile.profile)
    return remove(workspace, registry, new_snapshot=True, say=get_run_logger().info).summary()


def _publish(report: MaintenanceReport) -> None:
    write_report(report, profile_paths(report.profile).reports)
    create_markdown_artifact(
        key=f"maintenance-{report.profile}", markdown=to_markdown(report), description="Report of the maintenance"
    )
