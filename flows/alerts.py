"""Alerts of the Prefect server that runs the schedule: a night failed, or no night ended well in time.

Two automations of the server send them. A server that is down sends nothing; the dead-man's switch covers that case
(`flows.heartbeat`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import cast
from uuid import UUID

from prefect.automations import Automation
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import EventTrigger, Posture

from aura.errors import RegistryError

DEPLOYMENT = "nightly"
FAILED, MISSING = "Aura: a night failed", "Aura: a night did not come"
_BLOCK = "aura-alerts"
_ENDED_BADLY = {f"prefect.flow-run.{state}" for state in ("Failed", "Crashed", "TimedOut")}
_ENDED_WELL = "prefect.flow-run.Completed"


def set_up_alerts(url: str, within_hours: float) -> list[str]:
    """Make or replace both automations; returns their names.

    Args:
        url: address that takes a POST of `{"text": ...}`, as Slack and Mattermost do. The server stores it as a secret.
        within_hours: hours in which at least one night must end well.

    Raises:
        RegistryError: the flow is not deployed yet.
    """
    deployment = _deployment_id()
    block = CustomWebhookNotificationBlock.model_validate(
        {
            "name": _BLOCK,
            "url": "{{address}}",
            "secrets": {"address": url},
            "json_data": {"text": "{{subject}}\n{{body}}"},
        }
    )
    block_id = cast(UUID, block.save(_BLOCK, overwrite=True))
    nights: dict[str, str | list[str]] = {
        "prefect.resource.role": "deployment",
        "prefect.resource.id": f"prefect.deployment.{deployment}",
    }
    failed = EventTrigger(expect=_ENDED_BADLY, match_related=nights, posture=Posture.Reactive, threshold=1)
    missing = EventTrigger(
        expect={_ENDED_WELL}, match_related=nights, posture=Posture.Proactive, threshold=1,
        within=timedelta(hours=within_hours),
    )  # fmt: skip
    _replace(FAILED, failed, block_id, "{{ flow_run.name }}: {{ flow_run.state.message }}\n{{ flow_run|ui_url }}")
    _replace(MISSING, missing, block_id, f"No night ended well within {within_hours:g} hours.")
    return [FAILED, MISSING]


def _deployment_id() -> UUID:
    with get_client(sync_client=True) as client:
        found = client.read_deployments(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[DEPLOYMENT]))
        )
    if not found:
        raise RegistryError(
            f"the Prefect server has no deployment named {DEPLOYMENT}", hint="run `prefect deploy --name nightly` first"
        )
    return found[0].id


def _replace(name: str, trigger: EventTrigger, block_id: UUID, body: str) -> None:
    with get_client(sync_client=True) as client:
        for known in client.read_automations_by_name(name):
            client.delete_automation(known.id)
    action = SendNotification(block_document_id=block_id, subject=name, body=body)
    Automation(name=name, trigger=trigger, actions=[action]).create()
