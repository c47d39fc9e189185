"""The schedules of night and maintenance on a Prefect server, as `prefect.yaml` says. As a process, for a server elsewhere:

AURA_PROFILE=PROFILE PREFECT_API_URL=URL python -m flows.platform.schedule
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from aura.errors import StartError
from aura.paths import home, repo_root
from flows.prefect_errors import wait_for_server

POOL = "nights"
"""As prefect.yaml names it."""
DEPLOYMENTS = ("nightly", "maintenance")
"""As prefect.yaml names them."""
_SERVER_SECONDS = 120


def make_schedule(api: str, profile: str, pool: Sequence[str] = ("--type", "process")) -> None:
    """Give a profile's night and its weekly maintenance their work pool and their schedules.

    Args:
        api: address of the Prefect server's API.
        pool: what `prefect work-pool create` is told of the pool.

    Raises:
        StartError: the server does not answer, or refuses it; carries its words.
    """
    environment = os.environ | {
        "PREFECT_API_URL": api, "AURA_REPOSITORY": str(repo_root()),
        "PREFECT_HOME": os.environ.get("PREFECT_HOME") or str(home() / "prefect"),
    }  # fmt: skip
    wait_for_server(api, _SERVER_SECONDS)
    for command in (
        ["work-pool", "create", POOL, *pool, "--overwrite"],
        *(["--no-prompt", "deploy", "--name", name, "--param", f"profile={profile}"] for name in DEPLOYMENTS),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "prefect", *command],
            env=environment, cwd=repo_root(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise StartError(
                f"the schedule cannot be made:\n{done.stdout}{done.stderr}", hint="look at the Prefect server's log"
            )


def main() -> None:
    profile = os.environ.get("AURA_PROFILE") or "sample"
    pool: Sequence[str] = ("--type", "process")
    if len(sys.argv) > 1:
        kind, template = sys.argv[1:]
        pool = ("--type", kind, "--base-job-template", template)
    make_schedule(os.environ["PREFECT_API_URL"], profile, pool)
    print(f"the night and the maintenance of {profile} have their schedules")


if __name__ == "__main__":
    main()
