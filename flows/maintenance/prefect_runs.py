"""Whether the Prefect server removes its old runs itself.

It does, with their logs and artifacts, where `PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED` says so, as on every server that is
started from here. Of somebody else's server only its answers tell.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterEndTime

_KEPT_DAYS = 90
"""Prefect's default of `PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD`."""
_GRACE_DAYS = 7
"""A server that lives for a night only has cleaned up when the next one began."""


def prefect_runs(now: datetime) -> tuple[str, str]:
    """What the server holds, in a sentence; and what is wrong with its clean-up, or empty."""
    limit = now - timedelta(days=_KEPT_DAYS + _GRACE_DAYS)
    with get_client(sync_client=True) as client:
        every = client.count_flow_runs()
        long_ended = FlowRunFilter(end_time=FlowRunFilterEndTime.model_validate({"before_": limit}))
        old = client.count_flow_runs(flow_run_filter=long_ended)
    told = f"{every} flow runs; its server removes them after {_KEPT_DAYS} days"
    if not old:
        return told, ""
    return f"{every} flow runs", (
        f"{old} flow runs ended more than {_KEPT_DAYS + _GRACE_DAYS} days ago and are still there: start the server with "
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED=events,flow_runs"
    )
