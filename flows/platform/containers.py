"""What containers of Aura are given before they start, by one that ends: `docker-compose.yml` calls it `configuration`.

    python -m flows.platform.containers

It refuses an environment that could not work, and writes what the others read: nginx's configuration with its certificate, the
parts of the platform's health, Prometheus' and Alertmanager's configurations. All come from the settings of the profile, as in
`aura up`; only addresses differ, which the compose file gives as settings.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from aura.artifact import write_text
from aura.errors import AuraError, SettingsError
from aura.paths import home
from aura.private_home import keep_private
from bentos.serving.auth import read_auth
from bentos.serving.request_log import read_level
from flows.gateway.configuration import addresses, certificate_files, write_configuration
from flows.gateway.platform_health import HealthPlan, Part
from flows.night_metrics import FOLDER as NIGHT_METRICS
from flows.platform.monitoring import alertmanager_configuration, prometheus_configuration
from flows.profile import Profile, load_profile
from flows.services import SERVICES
from inference.retrieval.settings import pinecone_notice

HAS_GPU = "AURA_CONTAINERS_HAVE_GPU"
"""Set by docker-compose.gpu.yml."""
_RULES = "/etc/prometheus/rules/*.yml"
"""Where the compose file puts `deploy/monitoring/rules`."""
_GATED = "meta-llama/"
_EXPORTERS = {"node": ("node_exporter", 9100), "gpu": ("gpu_exporter", 9835)}


def check_environment(environ: Mapping[str, str], profile: Profile) -> list[str]:
    """Check what `.env` gives; returns what is given and not used, in words.

    Raises:
        SettingsError: names everything that could not work.
    """
    problems: list[SettingsError] = []
    for check in (read_auth, read_level, _check_workers, _check_device):
        try:
            check(environ)
        except SettingsError as error:
            problems.append(error)
    if problems:
        raise SettingsError(
            "\n".join(problem.message for problem in problems),
            hint="; ".join(filter(None, (problem.hint for problem in problems))),
        )
    notices = []
    if notice := pinecone_notice(environ):
        notices.append(notice)
    if environ.get("OPENAI_API_KEY") and profile.serving.openai_model is None:
        notices.append(
            "OPENAI_API_KEY is set, and the chat's champion answers: AURA_SERVING__OPENAI_MODEL names a model that is to answer "
            "in its place"
        )
    base = str(profile.model_dump()["chat"]["base"])
    if not environ.get("HF_TOKEN") and _GATED in base:
        notices.append(f"HF_TOKEN is not set, and {base} is given to accounts that have accepted its licence")
    return notices


def _check_workers(environ: Mapping[str, str]) -> None:
    workers = environ.get("MAX_WORKERS") or "1"
    if not workers.isdecimal() or int(workers) < 1:
        raise SettingsError(f"MAX_WORKERS is {workers!r}", hint="set MAX_WORKERS to a number of processes, 1 or more")


def _check_device(environ: Mapping[str, str]) -> None:
    device = environ.get("DEVICE") or "cpu"
    if device != "cpu" and not device.startswith("cuda"):
        raise SettingsError(f"DEVICE is {device!r}", hint="set DEVICE to cpu, cuda or cuda:NUMBER")
    if device != "cpu" and not environ.get(HAS_GPU):
        raise SettingsError(
            f"DEVICE is {device}, and the containers are given no GPU",
            hint="start with -f docker-compose.yml -f docker-compose.gpu.yml, or set DEVICE=cpu",
        )


def write_files(profile: Profile, *, has_gpu: bool) -> None:
    """Write what the containers read, below the home folder: `gateway/`, and `monitoring/` for accounts that are not ours.

    Raises:
        SettingsError: what `write_configuration` raises.
    """
    folder = home() / "gateway"
    write_configuration(profile, folder)
    write_text(folder / "health.json", health_plan(profile, folder).model_dump_json(indent=2))
    for name, values in (
        ("prometheus", prometheus(profile, has_gpu=has_gpu)),
        ("alertmanager", alertmanager(profile)),
    ):
        file = home() / "monitoring" / f"{name}.yml"
        write_text(file, yaml.safe_dump(values, sort_keys=False))
        file.chmod(0o644)  # in a volume that these two alone are given


def health_plan(profile: Profile, folder: Path) -> HealthPlan:
    """The parts whose health is told; one of a service for all its replicas, behind their name."""
    gateway = profile.gateway
    services = [
        Part(
            name=service.name, group=service.name, is_service=True,
            url=service.health_url(f"http://{addresses(profile)[service.name][0]}{service.path}"),
        )
        for service in SERVICES.values()
    ]  # fmt: skip
    urls = {
        "mlflow": f"http://{gateway.mlflow}/health",
        "prefect": f"http://{gateway.prefect}/api/health",
        "grafana": f"http://{gateway.grafana}/grafana/api/health",
        "prometheus": f"http://{gateway.prometheus}/-/ready",
        "alertmanager": f"http://{profile.monitoring.alertmanager}/-/ready",
    }
    tools = [Part(name=name, group=name, is_service=False, url=url) for name, url in urls.items()]
    return HealthPlan(
        host="0.0.0.0", port=int(gateway.platform_health.rpartition(":")[2]), parts=[*services, *tools],
        home=home(), textfiles=home() / NIGHT_METRICS, certificate=certificate_files(gateway, folder)[0],
    )  # fmt: skip


def prometheus(profile: Profile, *, has_gpu: bool) -> dict[str, Any]:
    """As `aura up` has it, but that a name stands for all replicas of a service, however many there are at the moment."""
    values = prometheus_configuration(profile, {})
    jobs = {
        name: (found[0].rpartition(":")[0], int(found[0].rpartition(":")[2]))
        for name, found in addresses(profile).items()
    }
    jobs |= {name: at for name, at in _EXPORTERS.items() if has_gpu or name != "gpu"}
    values["rule_files"] = [_RULES]
    values["scrape_configs"] += [
        {
            "job_name": name,
            "dns_sd_configs": [{"names": [host], "type": "A", "port": port, "refresh_interval": "15s"}],
        }
        for name, (host, port) in jobs.items()
    ]
    return values


def alertmanager(profile: Profile) -> dict[str, Any]:
    """As `aura up` has it; without a webhook, alerts are shown on Alertmanager's page alone."""
    url = profile.monitoring.webhook_url.get_secret_value()
    values = alertmanager_configuration(url)
    return values if url else values | {"receivers": [{"name": values["route"]["receiver"]}]}


def main() -> int:
    keep_private()
    try:
        profile = load_profile(os.environ.get("AURA_PROFILE") or "sample")
        for notice in check_environment(os.environ, profile):
            print(notice)
        write_files(profile, has_gpu=bool(os.environ.get(HAS_GPU)))
    except AuraError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"the containers of {profile.profile} have their configuration")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
