"""Messages of the Prefect server that runs the schedule: a night failed, did not come or ended well; a maintenance failed.

Automations of the server send them. A server that is down sends nothing; the dead-man's switch covers that case
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
from prefect.exceptions import ObjectNotFound

from aura.errors import RegistryError
from flows.platform.schedule import DEPLOYMENTS

NIGHTLY, MAINTENANCE = DEPLOYMENTS
FAILED, MISSING = "Aura: a night failed", "Aura: a night did not come"
ENDED, MAINTENANCE_FAILED = "Aura: a night ended well", "Aura: a maintenance failed"
_BLOCK = "aura-alerts"
_ENDED_BADLY = {f"prefect.flow-run.{state}" for state in ("Failed", "Crashed", "TimedOut")}
_ENDED_WELL = "prefect.flow-run.Completed"
_BODY = "{{ flow_run.name }}: {{ flow_run.state.message }}\n{{ flow_run|ui_url }}"


def set_up_alerts(url: str, within_hours: float, *, every_night: bool = False, block: str = "") -> list[str]:
    """Make or replace the automations; returns their names.

    Args:
        url: address that takes a POST of `{"text": ...}`, as Slack and Mattermost do. The server stores it as a secret.
        within_hours: hours in which at least one night must end well.
        every_night: tell of good nights as well, so that each night is told once.
        block: TYPE/NAME of a notification block of the server that is told in place of `url`, for example one for e-mail.

    Raises:
        RegistryError: the flow is not deployed yet, or there is no such block.
    """
    nights = _runs_of(NIGHTLY)
    if nights is None:
        raise RegistryError(
            f"the Prefect server has no deployment named {NIGHTLY}", hint="run `prefect deploy --name nightly` first"
        )
    block_id = _known_block(block) if block else _webhook(url)
    failed = EventTrigger(expect=_ENDED_BADLY, match_related=nights, posture=Posture.Reactive, threshold=1)
    missing = EventTrigger(
        expect={_ENDED_WELL}, match_related=nights, posture=Posture.Proactive, threshold=1,
        within=timedelta(hours=within_hours),
    )  # fmt: skip
    ended = EventTrigger(expect={_ENDED_WELL}, match_related=nights, posture=Posture.Reactive, threshold=1)
    made = {
        FAILED: (failed, _BODY),
        MISSING: (missing, f"No night ended well within {within_hours:g} hours."),
        ENDED: (ended, _BODY) if every_night else None,
        MAINTENANCE_FAILED: None,
    }
    if maintenances := _runs_of(MAINTENANCE):
        bad = EventTrigger(expect=_ENDED_BADLY, match_related=maintenances, posture=Posture.Reactive, threshold=1)
        made[MAINTENANCE_FAILED] = (bad, _BODY)
    for name, what in made.items():
        _replace(name, what, block_id)
    return [name for name, what in made.items() if what]


def _webhook(url: str) -> UUID:
    block = CustomWebhookNotificationBlock.model_validate(
        {
            "name": _BLOCK,
            "url": "{{address}}",
            "secrets": {"address": url},
            "json_data": {"text": "{{subject}}\n{{body}}"},
        }
    )
    return cast(UUID, block.save(_BLOCK, overwrite=True))


def _known_block(block: str) -> UUID:
    kind, _, name = block.partition("/")
    try:
        with get_client(sync_client=True) as client:
            return client.read_block_document_by_name(name, kind).id
    except ObjectNotFound as error:
        raise RegistryError(
            f"the Prefect server has no block {block!r}",
            hint="make one on its page under Blocks, for example sendgrid-email/NAME, and name it TYPE/NAME",
        ) from error


def _runs_of(deployment: str) -> dict[str, str | list[str]] | None:
    """What events of a deployment's runs are related to; None where there is no such deployment."""
    with get_client(sync_client=True) as client:
        found = client.read_deployments(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[deployment]))
        )
    if not found:
        return None
    return {
        "prefect.resource.role": "deployment",
        "prefect.resource.id": f"prefect.deployment.{found[0].id}",
    }


def _replace(name: str, what: tuple[EventTrigger, str] | None, block_id: UUID) -> None:
    """Put an automation in the place of the one of its name; None: none."""
    with get_client(sync_client=True) as client:
        for known in client.read_automations_by_name(name):
            client.delete_automation(known.id)
    if what is not None:
        trigger, body = what
        action = SendNotification(block_document_id=block_id, subject=name, body=body)
        Automation(name=name, trigger=trigger, actions=[action]).create()
