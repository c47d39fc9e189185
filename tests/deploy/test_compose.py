"""Containers: docker-compose accepts the files; every part of `aura up` is there, bounded, watched and on its networks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from aura.paths import repo_root
from flows.bento_contents import SOURCES
from flows.cli.serve import service_addresses
from flows.platform.parts import Platform
from flows.profile import load_profile
from flows.services import SERVICES
from tests.deploy.compose import EXAMPLE, FILES, GIVEN, composed, example_environment, run_config

PRODUCTION = FILES[:1]
MODEL_SERVICES = {f"{service.name}_service" for service in SERVICES.values() if service.models}
ONCE = {"configuration", "night_schedule"}
NAMES_OF_PARTS = {name: f"{name}_service" for name in SERVICES} | {
    "prefect": "prefect_server",
    "worker": "prefect_worker",
}


def services(*files: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = composed(*files)["services"]
    return found


def networks_of(service: dict[str, Any]) -> set[str]:
    return set(service["networks"])


@pytest.mark.parametrize("override", [(), FILES[1:2], FILES[2:3]], ids=["production", "development", "gpu"])
def test_compose_accepts_the_files(override: tuple[str, ...]) -> None:
    assert services(*PRODUCTION, *override).keys() >= services(*PRODUCTION).keys()


@pytest.mark.parametrize("name", GIVEN)
def test_a_secret_that_is_missing_is_said_by_its_name(name: str) -> None:
    done = run_config(example_environment(**{key: value for key, value in GIVEN.items() if key != name}))
    assert done.returncode != 0
    assert f"{name}: put" in done.stderr or (name in done.stderr and "into .env" in done.stderr), done.stderr


def test_every_part_of_aura_up_has_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("AURA_MONITORING__WEBHOOK_URL", "http://127.0.0.1:9/alerts")
    parts = Platform(load_profile("sample"), "sample", lambda _: True, print, 6379).parts()
    assert {NAMES_OF_PARTS.get(part.name, part.name) for part in parts} <= services().keys()
    assert len(parts) == 13  # none was left out for want of a program


def test_services_find_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JWT_SECRET_KEY", "x" * 32)  # then nobody needs the keys' address
    natively = service_addresses(load_profile("sample"))
    assert natively
    for service in SERVICES.values():
        environment = services()[f"{service.name}_service"]["environment"]
        for name, address in natively.items():
            found, known = urlsplit(environment[name]), urlsplit(address)
            assert (found.port, found.path, found.hostname in services()) == (known.port, known.path, True)


def test_services_listen_where_they_do_natively() -> None:
    for service in SERVICES.values():
        command = services()[f"{service.name}_service"]["command"]
        assert [service.target, str(service.default_port)] == [command[4], command[-1]]
        health = services()[f"{service.name}_service"]["healthcheck"]["test"][-1]
        assert health == f"http://127.0.0.1:{service.default_port}/readyz"


def test_the_tools_have_the_settings_that_they_have_natively(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "home"))
    parts = {
        part.name: part for part in Platform(load_profile("sample"), "sample", lambda _: True, print, 6379).parts()
    }
    mlflow, prefect = services()["mlflow"], services()["prefect_server"]
    its_own = {"PREFECT_HOME", "PREFECT_SERVER_UI_API_URL", "PREFECT_LOGGING_LEVEL"}
    for part, container in ((parts["mlflow"], mlflow), (parts["prefect"], prefect)):
        for name, value in part.environment.items():
            if name.startswith(("MLFLOW_", "PREFECT_")) and name not in its_own:
                assert container["environment"].get(name) == value, name
    assert "--app-name aura --workers 1" in " ".join(mlflow["command"].split())


def test_stores_are_out_of_the_gateways_reach() -> None:
    networks = composed()["networks"]
    stores = {"postgres", "redis"}
    for store in stores:
        assert networks_of(services()[store]) == {"stores"}
    assert networks_of(services()["gateway"]) == {"edge", "services"}
    assert [name for name, network in networks.items() if network.get("internal")] == [
        "monitoring",
        "services",
        "stores",
    ]
    assert [name for name, service in services().items() if "edge" in networks_of(service)] == ["gateway"]


def ports_of(service: dict[str, Any]) -> list[tuple[str, int, int]]:
    """Address on this machine, port there and port inside, however this docker-compose writes them."""
    found = []
    for port in service.get("ports", []):
        if isinstance(port, dict):
            found.append((port.get("host_ip", ""), int(port["published"]), int(port["target"])))
        else:
            *host, published, target = port.removesuffix("/tcp").split(":")
            found.append((":".join(host), int(published), int(target)))
    return found


def test_the_gateway_alone_is_open_to_the_network() -> None:
    published = {name: ports for name, service in services().items() if (ports := ports_of(service))}
    assert published == {
        "gateway": [("", 80, 80), ("", 443, 443)],
        "grafana": [("127.0.0.1", 3000, 3000)],
        "prometheus": [("127.0.0.1", 9090, 9090)],
    }
    in_development = services(*PRODUCTION, "docker-compose.dev.yml")
    for service in SERVICES.values():
        port = service.default_port
        assert ports_of(in_development[f"{service.name}_service"]) == [("127.0.0.1", port, port)]
    for name, container in in_development.items():
        for host, _, _ in ports_of(container):
            assert networks_of(container) & {"edge", "outside"}, f"{name} is on internal networks alone: no port opens"
            assert name == "gateway" or host == "127.0.0.1", name


@pytest.mark.parametrize("name", services(*PRODUCTION, "docker-compose.gpu.yml"))
def test_every_container_is_bounded_and_watched(name: str) -> None:
    service = services(*PRODUCTION, "docker-compose.gpu.yml")[name]
    limits = service["deploy"]["resources"]["limits"]
    assert limits["cpus"]
    assert limits["memory"]
    assert service["restart"] == ("no" if name in ONCE else "unless-stopped")
    assert service["logging"]["driver"] == "json-file"
    assert service["logging"]["options"] == {"max-size": "10m", "max-file": "5", "tag": "{{.Name}}"}
    has_check = service["healthcheck"].get("test", ["NONE"]) != ["NONE"]
    assert has_check == (name not in ONCE)
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    if name != "postgres":  # its entry point changes the owner of its folder, and gives root up
        assert service["cap_drop"] == ["ALL"]


def test_who_needs_something_waits_until_it_works() -> None:
    for name, service in services().items():
        for needed, how in service.get("depends_on", {}).items():
            if needed in ONCE:
                expected = "service_completed_successfully"
            elif needed in MODEL_SERVICES:  # they have no champion before the first night
                expected = "service_started"
            else:
                expected = "service_healthy"
            assert how["condition"] == expected, f"{name} needs {needed}"
    assert services()["gateway"]["depends_on"].keys() >= MODEL_SERVICES


def test_a_gpu_is_given_to_those_who_use_one() -> None:
    with_gpu = services(*PRODUCTION, "docker-compose.gpu.yml")
    given = {name for name, service in with_gpu.items() if "reservations" in service["deploy"]["resources"]}
    assert given == MODEL_SERVICES | {"prefect_worker", "gpu_exporter"}


def test_images_are_named_with_a_tag_and_without_a_registry() -> None:
    for name, service in services(*PRODUCTION, "docker-compose.gpu.yml").items():
        image, _, tag = service["image"].partition(":")
        assert tag, name
        assert tag != "latest", name
        assert "." not in image.split("/")[0], name


def test_every_variable_is_explained() -> None:
    text = "".join((repo_root() / file).read_text(encoding="utf-8") for file in FILES)
    explained = set(re.findall(r"^#?([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text)) <= explained
    guide = {
        "HF_TOKEN", "PINECONE_API_KEY", "OPENAI_API_KEY", "POSTGRES_PASSWORD", "GRAFANA_PASSWORD", "JWT_SECRET_KEY", "DEVICE",
        "MAX_WORKERS", "LOG_LEVEL",
    }  # fmt: skip
    assert guide <= explained


def test_defaults_are_told_as_they_are() -> None:
    text = "".join((repo_root() / file).read_text(encoding="utf-8") for file in FILES)
    told = dict(re.findall(r"^#([A-Z_]+_IMAGE)=(.+)$", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z_]+_IMAGE):-([^}]+)\}", text)) == set(told.items())


def test_files_that_are_mounted_exist() -> None:
    for file in FILES:
        for path in re.findall(r"- (\./[^:]+):", (repo_root() / file).read_text(encoding="utf-8")):
            assert (repo_root() / path).exists(), path


def test_names_that_people_know_are_there() -> None:
    assert {"visual_analysis_models", "conversational_ai_vector_store"} <= composed()["volumes"].keys()
    assert "COMPOSE_PROJECT_NAME=aura_ai_platform\n" in EXAMPLE.read_text(encoding="utf-8")
    postgres = services()["postgres"]
    assert (postgres["environment"]["POSTGRES_USER"], postgres["environment"]["POSTGRES_DB"]) == (
        "aura_user",
        "aura_platform",
    )
    assert any("/docker-entrypoint-initdb.d/init.sql" in str(volume) for volume in postgres["volumes"])


def test_an_image_has_all_code_and_nothing_beside_it() -> None:
    taken = re.findall(r"^!(.+)$", (repo_root() / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE)
    assert {*SOURCES, "flows", "training", "dataprep", "configs", "data", "prefect.yaml", "dvc.yaml"} <= set(taken)
    assert {"var", "shared", "tests", ".env", ".git"}.isdisjoint(taken)
    dockerfile = (repo_root() / "deploy" / "docker" / "Dockerfile").read_text(encoding="utf-8")
    assert dockerfile.count("USER aura\n") == dockerfile.count("FROM ${BASE_IMAGE}")
