"""The schedules of night and maintenance on a Prefect server, as `prefect.yaml` says. As a process, for a server elsewhere:

AURA_PROFILE=PROFILE PREFECT_API_URL=URL python -m flows.platform.schedule
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import prefect
import yaml
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.utilities.callables import parameter_schema_from_entrypoint

from aura.errors import StartError
from aura.lineage import value_hash
from aura.paths import home, repo_root
from flows.prefect_errors import wait_for_server

POOL = "nights"
"""As prefect.yaml names it."""
DEPLOYMENTS = ("nightly", "maintenance")
"""As prefect.yaml names them, and as their flows are named."""
_SERVER_SECONDS = 120


def make_schedule(api: str, profile: str, pool_type: str = "process", job_template: Path | None = None) -> None:
    """Give a profile's night and its weekly maintenance their work pool and their schedules.

    What the server has already, made from the same settings, stays as it is: somebody may have paused it there, or given it
    another time.

    Args:
        api: address of the Prefect server's API.
        pool_type: type of the work pool that the runs go to.
        job_template: JSON file of the pool's base job template; None: Prefect's own for the type.

    Raises:
        StartError: the server does not answer, or refuses it; carries its words.
    """
    wait_for_server(api, _SERVER_SECONDS)
    version = _settings_hash(profile, pool_type, job_template)
    due = [name for name in DEPLOYMENTS if not _is_deployed(api, name, version)]
    if not due:
        return
    template = ["--base-job-template", str(job_template)] if job_template else []
    _prefect(api, "work-pool", "create", POOL, "--type", pool_type, *template, "--overwrite")
    for name in due:
        _prefect(api, "--no-prompt", "deploy", "--name", name, "--param", f"profile={profile}", "--version", version)


def _settings_hash(profile: str, pool_type: str, job_template: Path | None) -> str:
    """Hash of all that the deployments are made from; it becomes their version on the server."""
    settings = yaml.safe_load((repo_root() / "prefect.yaml").read_text(encoding="utf-8"))
    schemas = [
        parameter_schema_from_entrypoint(str(repo_root() / deployment["entrypoint"])).model_dump()
        for deployment in settings["deployments"]
    ]
    template = job_template.read_text(encoding="utf-8") if job_template else ""
    return value_hash([settings, schemas, profile, pool_type, template, str(repo_root()), prefect.__version__])[:16]


def _is_deployed(api: str, name: str, version: str) -> bool:
    """Whether the server has this version of a deployment, with a pool: one whose pool was deleted runs nowhere."""
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(f"{name}/{name}")
        except ObjectNotFound:
            return False
    return found.version == version and found.work_pool_name is not None


def _prefect(api: str, *command: str) -> None:
    environment = os.environ | {
        "PREFECT_API_URL": api, "AURA_REPOSITORY": str(repo_root()),
        "PREFECT_HOME": os.environ.get("PREFECT_HOME") or str(home() / "prefect"),
    }  # fmt: skip
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
    api = os.environ["PREFECT_API_URL"]
    if len(sys.argv) > 1:
        pool_type, template = sys.argv[1:]
        make_schedule(api, profile, pool_type, Path(template))
    else:
        make_schedule(api, profile)
    print(f"the night and the maintenance of {profile} have their schedules")


if __name__ == "__main__":
    main()
