"""The Prefect server of a night takes orders from the account that runs the night alone."""

from __future__ import annotations

import os
import subprocess
import sys

from aura.paths import repo_root

_NIGHT = """
import httpx
from flows.prefect_server import prefect_api
with prefect_api(300) as url:
    stranger = httpx.post(f"{url}/flow_runs/filter", json={}, trust_env=False)
    from prefect import flow, get_run_logger
    from prefect.client.orchestration import get_client
    @flow
    def night():
        get_run_logger().info("a line for the page")
    night()
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
import os
print("RESULT", stranger.status_code, [run.state_name for run in runs], "PREFECT_API_AUTH_STRING" in os.environ)
"""


def test_a_stranger_is_refused_and_the_night_is_not() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    done = subprocess.run(
        [sys.executable, "-c", _NIGHT], cwd=repo_root(), env=environment | {"PYTHONPATH": str(repo_root())},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert "RESULT 401 ['Completed'] False" in done.stdout, done.stdout + done.stderr
