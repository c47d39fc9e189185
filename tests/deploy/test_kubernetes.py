"""Manifests for Kubernetes: they fit its schemas, hang together, and name what the services and the compose file name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from aura.paths import repo_root
from bentos.serving import metrics
from flows.platform.schedule import POOL
from flows.profile import load_profile
from flows.services import SERVICES
from tests.deploy.compose import composed

FOLDER = repo_root() / "deploy" / "kubernetes"
BASE, OVERLAYS = FOLDER / "base", sorted((FOLDER / "overlays").iterdir())
VERSIONS = ("1.31", "1.37")
OF_OPERATORS = {"ScaledObject", "ServiceMonitor", "PodMonitor"}
"""Kinds of KEDA and of the Prometheus Operator, which bring their own schemas into a cluster."""


def kustomization(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    return found


@cache
def resources() -> dict[tuple[str, str], dict[str, Any]]:
    """Everything in the base, by kind and name."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for file in kustomization(BASE)["resources"]:
        for resource in yaml.safe_load_all((BASE / file).read_text(encoding="utf-8")):
            key = (resource["kind"], resource["metadata"]["name"])
            assert key not in found, key
            found[key] = resource
    return found


def pod_specs() -> Iterator[tuple[str, dict[str, Any]]]:
    for (kind, name), resource in resources().items():
        if kind == "Deployment":
            yield name, resource["spec"]["template"]["spec"]
    yield "night", night_job()["spec"]["template"]["spec"]


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, spec in pod_specs():
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            yield f"{name}/{container['name']}", container


def night_job() -> dict[str, Any]:
    """The Job of a night, with Prefect's placeholders filled in."""
    template = json.loads((BASE / "night-job.json").read_text(encoding="utf-8"))
    defaults = {name: value.get("default") for name, value in template["variables"]["properties"].items()}
    given: dict[str, Any] = defaults | {"name": "night", "env": [], "labels": {}, "command": ["prefect"]}

    def filled(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: filled(each) for key, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        if isinstance(value, str) and (whole := re.fullmatch(r"\{\{ (\w+) \}\}", value)):
            return given[whole[1]]
        return re.sub(r"\{\{ (\w+) \}\}", lambda found: given[found[1]], value) if isinstance(value, str) else value

    made: dict[str, Any] = filled(template["job_configuration"]["job_manifest"])
    return made


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(version: str) -> None:
    for (kind, _), resource in resources().items():
        if kind not in OF_OPERATORS:
            kubernetes_validate.validate(resource, version, strict=True)
    job = night_job()
    spec = job["spec"]["template"]["spec"]  # Prefect asks for these two here, and Kubernetes drops them
    assert (spec.pop("parallelism"), spec.pop("completions")) == (1, 1)
    kubernetes_validate.validate(job, version, strict=True)


def test_a_wrong_field_would_be_found() -> None:
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"port": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("folder", [BASE, *OVERLAYS], ids=lambda folder: folder.name)
def test_every_file_is_there_and_used(folder: Path) -> None:
    named = kustomization(folder)
    files = [*named["resources"], *(patch["path"] for patch in named.get("patches", []))]
    files += [file for generated in named.get("configMapGenerator", []) for file in generated["files"]]
    for file in files:
        assert (folder / file).exists(), file
    assert {path.name for path in folder.iterdir()} == {"kustomization.yaml", *(f for f in files if "/" not in f)}


@pytest.mark.parametrize("folder", OVERLAYS, ids=lambda folder: folder.name)
def test_patches_change_what_is_there(folder: Path) -> None:
    for patch in kustomization(folder)["patches"]:
        content = yaml.safe_load((folder / patch["path"]).read_text(encoding="utf-8"))
        if isinstance(content, list):
            target = patch["target"]
            found = [
                r
                for (kind, name), r in resources().items()
                if kind == target["kind"] and re.fullmatch(target["name"], name)
            ]
            assert found
            for operation in content:
                parent = operation["path"].rpartition("/")[0]
                assert all(_at(resource, parent) is not None for resource in found), parent
        else:
            settings = resources()[content["kind"], content["metadata"]["name"]]
            assert content["data"].keys() <= settings["data"].keys()


def _at(resource: Any, path: str) -> Any:
    """What a JSON pointer points to."""
    for part in path.strip("/").split("/"):
        resource = resource[int(part)] if isinstance(resource, list) else resource[part]
    return resource


def test_images_get_their_names_from_an_overlay() -> None:
    named = {image["name"] for image in kustomization(FOLDER / "overlays" / "cpu")["images"]}
    assert {container["image"] for name, container in containers() if name != "night/prefect-job"} == named
    tags = [image["newTag"] for image in kustomization(FOLDER / "overlays" / "cpu")["images"]]
    assert "latest" not in tags


def test_services_are_those_of_the_table_and_of_compose() -> None:
    for service in SERVICES.values():
        name = service.name.replace("_", "-")
        (container,) = resources()["Deployment", name]["spec"]["template"]["spec"]["containers"]
        composed_service = composed()["services"][f"{service.name}_service"]
        assert container["args"] == composed_service["command"]
        port = resources()["Service", name]["spec"]["ports"][0]
        assert (port["port"], container["ports"][0]["containerPort"]) == (service.default_port, service.default_port)
        inside = {path.split(":")[1] for path in composed_service["volumes"]}
        assert {mount["mountPath"] for mount in container["volumeMounts"]} - {"/tmp"} == inside


def test_settings_are_those_of_compose_and_a_profile_takes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = resources()["ConfigMap", "aura-settings"]["data"]
    of_compose = composed()["services"]["configuration"]["environment"].keys()
    elsewhere = {
        "JWT_SECRET_KEY", "PGPASSWORD", "HF_TOKEN",  # in aura-secrets
        "AURA_GATEWAY__RESOLVER", "AURA_GATEWAY__NAMES", "AURA_GATEWAY__GRAFANA", "AURA_GATEWAY__PLATFORM_HEALTH",
        "AURA_MONITORING__ALERTMANAGER",  # the cluster's own
    }  # fmt: skip
    from_env_file = {"COMPOSE_PROJECT_NAME", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD", "DEVICE"}
    assert of_compose - elsewhere - from_env_file <= settings.keys()
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    gateway = load_profile("sample").gateway
    found = {name for kind, name in resources() if kind == "Service"}
    named = [*(replicas[0] for replicas in gateway.upstreams.values()), gateway.mlflow, gateway.prefect]
    assert {address.split(":")[0] for address in named} <= found


@pytest.mark.parametrize(
    "container", [container for _, container in containers()], ids=[name for name, _ in containers()]
)
def test_every_container_is_closed_and_bounded(container: dict[str, Any]) -> None:
    security = container["securityContext"]
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"]["limits"]["memory"]
    assert "/tmp" in {mount["mountPath"] for mount in container["volumeMounts"]}


def test_volumes_that_are_mounted_exist() -> None:
    claims = {name for kind, name in resources() if kind == "PersistentVolumeClaim"}
    for name, spec in pod_specs():
        volumes = {volume["name"]: volume for volume in spec["volumes"]}
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys(), name
        for volume in volumes.values():
            assert volume.get("persistentVolumeClaim", {}).get("claimName", "aura-home") in claims


def test_a_service_is_scaled_by_a_metric_that_it_has() -> None:
    requests = metrics.IN_PROGRESS._name
    for service in SERVICES.values():
        name = service.name.replace("_", "-")
        spec = resources()["ScaledObject", name]["spec"]
        assert ("Deployment", spec["scaleTargetRef"]["name"]) in resources()
        (trigger,) = spec["triggers"]
        assert trigger["metadata"]["query"] == f'sum({requests}{{job="{service.name}",route!~".*/health"}})'
        limit = load_profile("sample").serving.max_requests
        assert int(trigger["metadata"]["threshold"]) < limit, "a replica refuses before another comes"
        labels = resources()["Service", name]["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == service.name, "its job in Prometheus, by metrics.yaml"


def test_nights_are_jobs_of_the_pool_that_the_deployment_names() -> None:
    deployment = yaml.safe_load((repo_root() / "prefect.yaml").read_text(encoding="utf-8"))["deployments"][0]
    (worker,) = resources()["Deployment", "prefect-worker"]["spec"]["template"]["spec"]["containers"]
    pool = worker["args"][worker["args"].index("--pool") + 1]
    assert pool == deployment["work_pool"]["name"] == POOL
