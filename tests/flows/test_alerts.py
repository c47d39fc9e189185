"""Whom the Prefect server tells of what, on a real one: automations are made, replaced and taken away."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from prefect import flow
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import get_client
from prefect.events.actions import SendNotification
from prefect.events.schemas.automations import Automation
from prefect.testing.utilities import prefect_test_harness

from aura.errors import RegistryError
from flows.alerts import ENDED, FAILED, MAINTENANCE_FAILED, MISSING, set_up_alerts

_URL = "http://127.0.0.1:9/nobody"


@pytest.fixture(scope="module", autouse=True)
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=300):
        yield


def deploy(name: str) -> None:
    @flow
    def nothing() -> None: ...

    with get_client(sync_client=True) as client:
        client.create_deployment(client.create_flow(nothing), name)


def known() -> dict[str, Automation]:
    names = (FAILED, MISSING, ENDED, MAINTENANCE_FAILED)
    with get_client(sync_client=True) as client:
        found = [automation for name in names for automation in client.read_automations_by_name(name)]
    assert len({automation.name for automation in found}) == len(found), "a second one of a name would tell twice"
    return {automation.name: automation for automation in found}


def test_who_is_told_of_what_can_be_changed() -> None:
    with pytest.raises(RegistryError, match="no deployment named nightly"):
        set_up_alerts(_URL, 26)
    deploy("nightly")
    assert set_up_alerts(_URL, 26, every_night=True) == [FAILED, MISSING, ENDED]
    assert set(known()) == {FAILED, MISSING, ENDED}
    deploy("maintenance")
    assert set_up_alerts(_URL, 26) == [FAILED, MISSING, MAINTENANCE_FAILED]
    assert set(known()) == {FAILED, MISSING, MAINTENANCE_FAILED}
    with pytest.raises(RegistryError, match="no block 'sendgrid-email/operators'"):
        set_up_alerts("", 26, block="sendgrid-email/operators")
    mail = CustomWebhookNotificationBlock.model_validate({"name": "operators", "url": _URL})
    block_id = mail.save("operators")
    set_up_alerts("", 26, block="custom-webhook/operators")
    for automation in known().values():
        (action,) = automation.actions
        assert isinstance(action, SendNotification)
        assert action.block_document_id == block_id
