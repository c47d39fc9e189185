"""What `aura up` starts, and what this machine lacks for it."""

from __future__ import annotations

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import yaml

from aura.artifact import write_text
from aura.errors import ServiceError, StartError
from aura.paths import home, repo_root
from aura.proxies import is_loopback
from aura.secret_files import write_secret
from aura.supervision import watched
from aura.tracking import tracking_uri
from bentos.serving.auth import refuse_open_door
from flows.cli.serve import service_addresses
from flows.gateway.configuration import (
    addresses,
    certificate_files,
    check_configuration,
    command,
    program,
    write_configuration,
)
from flows.gateway.platform_health import HealthPlan
from flows.gateway.platform_health import Part as HealthPart
from flows.night_metrics import FOLDER as NIGHT_METRICS
from flows.package import bento_environment
from flows.platform.monitoring import alertmanager_program, write_alertmanager, write_prometheus
from flows.platform.part import Part
from flows.prefect_server import api_url, server_command, server_environment
from flows.processes import require_free
from flows.profile import Profile
from flows.services import SERVICES, Service
from inference.retrieval.settings import pinecone_notice
from stores.address import DATABASE_URL, given_url
from stores.local_server import LocalServer

REDIS_URL = "AURA_REDIS_URL"
_STORES, _SERVERS, _SERVICES, _GATEWAY = 10, 20, 30, 40
"""Priorities: what is asked starts before who asks."""


class Platform:
    """The parts of a profile on this machine.

    Args:
        has_champion: whether a model has one; a service without it is left out.
        say: takes a text for people.
        redis_port: of the Redis that is started here.
    """

    def __init__(
        self,
        profile: Profile,
        name: str,
        has_champion: Callable[[str], bool],
        say: Callable[[str], None],
        redis_port: int,
    ) -> None:
        self.profile, self._name, self._say, self._redis_port = profile, name, say, redis_port
        self.folder = home() / "up"
        self._services = [
            (service, *replica) for service in SERVICES.values() for replica in self._replicas(service, has_champion)
        ]

    def check(self) -> None:
        """Refuse to start where something is missing or taken.

        Raises:
            ServiceError: names everything that is.
            SettingsError: the gateway would answer a network without asking who calls.
        """
        gateway = self.profile.gateway
        refuse_open_door(gateway.host, setting="gateway.host")
        refuse_open_door(self.profile.serving.host)
        problems: list[ServiceError] = []
        try:
            program()
        except StartError as error:
            problems.append(error)
        wanted = [
            (gateway.host, gateway.http_port, "the gateway", "gateway.http_port"),
            (gateway.host, gateway.https_port, "the gateway", "gateway.https_port"),
            (*_split(gateway.platform_health), "the platform's health", "gateway.platform_health"),
            *((host, port, service.name, service.port_setting) for service, _, host, port in self._services),
        ]
        if self._runs_mlflow:
            wanted.append((*_split(gateway.mlflow), "MLflow", "gateway.mlflow"))
        if self._runs_prefect:
            wanted.append((*_split(gateway.prefect), "Prefect", "gateway.prefect"))
        if self._runs_redis:
            wanted.append(("127.0.0.1", self._redis_port, "Redis", "--redis-port"))
        if shutil.which("prometheus"):
            wanted.append((*_split(gateway.prometheus), "Prometheus", "gateway.prometheus"))
        if self._runs_alertmanager:
            wanted.append((*_split(self.profile.monitoring.alertmanager), "Alertmanager", "monitoring.alertmanager"))
        for host, port, what, setting in wanted:
            try:
                require_free(host, port, what, setting)
            except ServiceError as error:
                problems.append(error)
        for name, package, without in (
            ("redis-server", "redis-server", "each process keeps its own answers and counts"),
            ("prometheus", "prometheus", "nothing collects metrics"),
        ):
            if not shutil.which(name):
                self._say(f"{name} is not installed, so {without}: sudo apt-get install {package}")
        if not self._alert_url:
            self._say(
                "AURA_MONITORING__WEBHOOK_URL is not set, so nobody is told of alerts; Prometheus' page shows them"
            )
        elif alertmanager_program() is None:
            self._say(
                "Alertmanager is not installed, so nobody is told of alerts: sudo apt-get install prometheus-alertmanager"
            )
        if notice := pinecone_notice(os.environ):
            self._say(notice)
        if problems:
            raise ServiceError(
                "\n".join(problem.message for problem in problems),
                hint="; ".join(dict.fromkeys(problem.hint for problem in problems)),
            )

    def parts(self) -> list[Part]:
        """All parts; writes the files that they read."""
        found = [*self._stores(), *self._tools(), *self._service_parts()]
        host, port = _split(self.profile.gateway.platform_health)
        health = HealthPlan(
            host=host, port=port, home=home(), textfiles=home() / NIGHT_METRICS,
            certificate=certificate_files(self.profile.gateway, home() / "gateway")[0],
            parts=[
                HealthPart(name=part.name, group=part.group, url=part.health_url, is_service=part.is_service)
                for part in found
                if part.health_url
            ],
        )  # fmt: skip
        plan = self.folder / "health" / "plan.json"
        write_text(plan, health.model_dump_json())
        found.append(
            Part(
                name="platform_health", group="platform_health", priority=_SERVICES,
                command=watched("flows.gateway.platform_health", str(plan)), environment=self._environment,
            )
        )  # fmt: skip
        configuration = write_configuration(self.profile)
        check_configuration(configuration)
        found.append(Part(name="gateway", group="gateway", priority=_GATEWAY, command=command(configuration)))
        return found

    @property
    def _runs_redis(self) -> bool:
        return not os.environ.get(REDIS_URL) and shutil.which("redis-server") is not None

    @property
    def _runs_prefect(self) -> bool:
        return not os.environ.get("PREFECT_API_URL")

    @property
    def _runs_mlflow(self) -> bool:
        return not tracking_uri(self.profile.tracking).startswith(("http://", "https://"))

    @property
    def _alert_url(self) -> str:
        return self.profile.monitoring.webhook_url.get_secret_value()

    @property
    def _runs_alertmanager(self) -> bool:
        return bool(self._alert_url) and alertmanager_program() is not None

    def _stores(self) -> Iterator[Part]:
        self._environment: dict[str, str] = {}
        if not given_url():
            folder = home() / "postgres"
            self._environment[DATABASE_URL] = LocalServer(folder).url()
            yield Part(
                name="postgres", group="postgres", priority=_STORES, stop_seconds=30,
                command=watched("stores.local_server", str(folder)),
            )  # fmt: skip
        if self._runs_redis:
            password = secrets.token_urlsafe(32)  # other accounts of this machine reach the port too
            folder = home() / "redis"
            write_secret(
                folder / "redis.conf",
                f'bind 127.0.0.1\nport {self._redis_port}\nrequirepass {password}\ndir "{folder}"\nsave ""\n'
                "maxmemory 256mb\nmaxmemory-policy allkeys-lru\n",
            )
            self._environment[REDIS_URL] = f"redis://:{password}@127.0.0.1:{self._redis_port}/0"
            yield Part(
                name="redis", group="redis", priority=_STORES, command=["redis-server", str(folder / "redis.conf")]
            )

    def _tools(self) -> Iterator[Part]:
        gateway = self.profile.gateway
        if self._runs_mlflow:
            host, port = _split(gateway.mlflow)
            uri = tracking_uri(self.profile.tracking)
            server = ("mlflow", "server", "--app-name", "aura", "--workers", "1", "--backend-store-uri", uri)
            yield Part(
                name="mlflow", group="mlflow", priority=_SERVERS, health_url=f"http://{gateway.mlflow}/health",
                command=watched(*server, "--host", host, "--port", str(port)),
                environment={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "1"},
            )  # fmt: skip
        prefect = {"PREFECT_HOME": str(home() / "prefect"), "DO_NOT_TRACK": "1"}
        if self._runs_prefect:
            _, port = _split(gateway.prefect)
            own = server_environment(port)
            prefect |= {key: value for key, value in own.items() if key.startswith("PREFECT_")}
            yield Part(
                name="prefect", group="prefect", priority=_SERVERS, health_url=f"{api_url(port)}/health",
                command=server_command(port),
                environment=prefect
                | {
                    "PREFECT_SERVER_UI_SERVE_BASE": "/prefect",
                    "PREFECT_SERVER_UI_API_URL": f"https://{gateway.names[0]}{gateway.https_suffix}/prefect/api",
                    # A night holds a slot by a lease. In memory, a restart of the server in mid-night would end the night.
                    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
                },
            )  # fmt: skip
        yield Part(
            name="worker", group="worker", priority=_SERVICES, stop_seconds=60,
            command=[sys.executable, "-m", "flows.cli.app", "worker"],
            environment=prefect | {"PREFECT_API_URL": self.prefect_api, "AURA_REPOSITORY": str(repo_root())},
        )  # fmt: skip
        if shutil.which("prometheus"):
            file = write_prometheus(self.profile, self._scraped(), self.folder / "prometheus")
            yield Part(
                name="prometheus", group="prometheus", priority=_SERVERS, stop_seconds=30,
                health_url=f"http://{gateway.prometheus}/-/ready",
                command=[
                    "prometheus", f"--config.file={file}", f"--storage.tsdb.path={home() / 'prometheus'}",
                    f"--web.listen-address={gateway.prometheus}",
                    f"--storage.tsdb.retention.time={self.profile.monitoring.keep_days}d",
                ],
            )  # fmt: skip
        if (alertmanager := alertmanager_program()) and self._runs_alertmanager:
            address = self.profile.monitoring.alertmanager
            file = write_alertmanager(self.profile, self.folder / "alertmanager")
            yield Part(
                name="alertmanager", group="alertmanager", priority=_SERVERS, health_url=f"http://{address}/-/ready",
                command=[
                    alertmanager, f"--config.file={file}", f"--storage.path={home() / 'alertmanager'}",
                    f"--web.listen-address={address}", "--cluster.listen-address=",
                ],
            )  # fmt: skip

    def _service_parts(self) -> Iterator[Part]:
        params = home() / "serving" / self.profile.profile / "params.yaml"
        settings = self.profile.model_dump(mode="json")
        write_text(params, yaml.safe_dump(settings, sort_keys=True, allow_unicode=True))
        known = {key: value for key, value in bento_environment().items() if key.startswith("BENTOML_")}
        environment = known | {"AURA_PARAMS": str(params)} | service_addresses(self.profile) | self._environment
        for service, name, host, port in self._services:
            metrics = self.folder / "bentoml" / name  # BentoML empties the metrics there when it starts
            metrics.mkdir(parents=True, exist_ok=True)
            yield Part(
                name=name, group=service.name, priority=_SERVICES, is_service=True,
                stop_seconds=round(self.profile.serving.drain_seconds) + 10,
                command=watched("flows.bento_server", "serve", service.target, "--host", host, "--port", str(port)),
                environment=environment | {"BENTOML_HOME": str(metrics)},
                health_url=service.health_url(f"http://{host}:{port}{service.path}"),
            )  # fmt: skip

    def _replicas(self, service: Service, has_champion: Callable[[str], bool]) -> Iterator[tuple[str, str, int]]:
        """Name, host and port of the replicas that run on this machine."""
        if missing := [model for model in service.models if not has_champion(model)]:
            self._say(
                f"{service.name} is left out: no champion yet for {', '.join(missing)}; "
                f"run `aura nightly --profile {self._name}`, then `aura down` and `aura up`"
            )
            return
        for number, address in enumerate(addresses(self.profile)[service.name], start=1):
            host, port = _split(address)
            if host == self.profile.serving.host or is_loopback(f"http://{address}"):
                yield (service.name if number == 1 else f"{service.name}_{number}", host, port)

    def _scraped(self) -> dict[str, list[str]]:
        """Service to HOST:PORT of its replicas here."""
        targets: dict[str, list[str]] = {}
        for service, _, host, port in self._services:
            targets.setdefault(service.name, []).append(f"{host}:{port}")
        return targets

    @property
    def prefect_api(self) -> str:
        """Address of the API that the worker asks."""
        return os.environ.get("PREFECT_API_URL") or api_url(_split(self.profile.gateway.prefect)[1])


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def health_url(profile: Profile) -> str:
    """Address of the health of all parts, over the gateway's port of HTTP."""
    host = "127.0.0.1" if profile.gateway.host in ("0.0.0.0", "::") else profile.gateway.host
    return f"http://{host}:{profile.gateway.http_port}/health"


def supervisor_folders() -> tuple[Path, Path]:
    """Folder of the supervisor, and of the logs of all parts."""
    return home() / "up", home() / "logs" / "up"
