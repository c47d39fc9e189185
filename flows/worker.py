"""The worker of the schedule: it runs the nights that are due, one machine's worth.

A machine that loses its power in the middle of a night leaves a run that the Prefect server takes for a running one. That run
keeps the deployment's only slot, so that every later night would be cancelled: nobody else tells the server.
"""

from __future__ import annotations

from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL
from prefect.states import Crashed

from aura.paths import home
from flows.platform.schedule import DEPLOYMENTS
from flows.prefect_errors import wait_for_server
from flows.run_lock import LOCK, RunLock
from flows.workspace import MAINTENANCE

_SERVER_SECONDS = 60.0
"""The server may be starting: on a box that boots, both begin at once."""
_HOLD_A_SLOT = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]


def end_dead_runs() -> list[str]:
    """Mark every run of the deployments that holds a slot, and that nothing on this machine runs, as crashed.

    Call it before the worker starts: on the one machine that runs the nights, what is not alive then is dead.

    Returns:
        Names of the runs, each with what went wrong in telling the server, if anything.

    Raises:
        StartError: the server does not answer.
    """
    wait_for_server(PREFECT_API_URL.value(), _SERVER_SECONDS)
    pipelines = home() / "pipelines"
    locks = [*pipelines.glob(f"*/{LOCK}"), *pipelines.glob(f"*/{MAINTENANCE}/{LOCK}")]
    folders = [lock.parent for lock in locks]
    alive = {RunLock(folder, folder.name).holders_run() for folder in folders}
    states = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=_HOLD_A_SLOT)))
    ours = DeploymentFilter(name=DeploymentFilterName(any_=list(DEPLOYMENTS)))
    ended = []
    with get_client(sync_client=True) as client:
        for run in client.read_flow_runs(flow_run_filter=states, deployment_filter=ours):
            if str(run.id) not in alive:
                problem = mark_crashed(client, run.id, "the machine or its worker stopped")
                ended.append(f"{run.name} ({problem})" if problem else run.name)
    return ended


def mark_crashed(client: SyncPrefectClient, run_id: UUID, message: str) -> str:
    """Tell the server that a run's process is gone; returns why that failed, or empty.

    A run that the server does not know reported to another one. A server that refuses, for example because the run's
    deployment is gone, is no reason to have no night.
    """
    try:
        client.set_flow_run_state(run_id, Crashed(message=message), force=True)
    except ObjectNotFound:
        return ""
    except PrefectHTTPStatusError as error:
        return f"the server does not mark it as crashed: {error}"
    return ""
