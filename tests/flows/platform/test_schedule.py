"""The schedules on a real Prefect server: made once, and left as an operator changed them until their settings change."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

from flows.platform.schedule import POOL, make_schedule

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture
def api() -> Iterator[str]:
    with prefect_test_harness(server_startup_timeout=300):
        yield str(PREFECT_API_URL.value())


def deployment(name: str) -> DeploymentResponse:
    with get_client(sync_client=True) as client:
        return client.read_deployment_by_name(f"{name}/{name}")


def schedule_of(name: str) -> tuple[object, bool]:
    (schedule,) = deployment(name).schedules
    assert isinstance(schedule.schedule, CronSchedule)
    return schedule.schedule.cron, schedule.active


def test_an_operators_change_stays_until_the_settings_change(api: str, tmp_path: Path) -> None:
    make_schedule(api, "sample")
    assert schedule_of("nightly") == ("0 2 * * *", True)
    with get_client(sync_client=True) as client:
        nightly, maintenance = deployment("nightly"), deployment("maintenance")
        later = CronSchedule(cron="30 4 * * *", timezone="Etc/UTC")
        client.update_deployment_schedule(nightly.id, nightly.schedules[0].id, active=False, schedule=later)
        client.pause_deployment(maintenance.id)
        client.update_work_pool(POOL, WorkPoolUpdate(concurrency_limit=1))
    make_schedule(api, "sample")
    assert schedule_of("nightly") == ("30 4 * * *", False)
    assert deployment("maintenance").paused
    with get_client(sync_client=True) as client:
        assert client.read_work_pool(POOL).concurrency_limit == 1

    make_schedule(api, "ccp")  # another profile: the file's schedule again
    assert schedule_of("nightly") == ("0 2 * * *", True)
    assert {deployment(name).parameters["profile"] for name in ("nightly", "maintenance")} == {"ccp"}

    template = tmp_path / "job.json"
    variables = {"type": "object", "properties": {"command": {"type": "string"}}}
    job = {"job_configuration": {"command": "{{ command }}"}, "variables": variables}
    template.write_text(json.dumps(job), encoding="utf-8")
    make_schedule(api, "ccp", job_template=template)
    with get_client(sync_client=True) as client:
        pool = client.read_work_pool(POOL)
        assert pool.base_job_template["job_configuration"] == {"command": "{{ command }}"}
        client.delete_work_pool(POOL)
    make_schedule(api, "ccp", job_template=template)
    assert deployment("nightly").work_pool_name == POOL, "without a pool no night would come"
