"""What containers are given: an environment that cannot work is refused in words, and nginx and Prometheus accept their files."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from aura.errors import SettingsError
from aura.paths import repo_root
from flows.gateway.configuration import check_configuration
from flows.gateway.platform_health import HealthPlan
from flows.platform.containers import HAS_GPU, alertmanager, check_environment, main, write_files
from flows.profile import Profile, load_profile
from flows.services import SERVICES
from tests.deploy.compose import GIVEN, composed

WORKS = {"AURA_AUTH": "on", "JWT_SECRET_KEY": GIVEN["JWT_SECRET_KEY"]}
WEBHOOK = "http://hooks.example/alerts"


def compose_environment(monkeypatch: pytest.MonkeyPatch, home: Path, **more: str) -> Profile:
    """Set what the compose file gives to `configuration`; returns the profile that comes of it."""
    given = composed()["services"]["configuration"]["environment"] | {"AURA_HOME": str(home)} | more
    for name, value in given.items():
        if value is not None:
            monkeypatch.setenv(name, str(value))
    return load_profile("sample")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"JWT_SECRET_KEY": "short"}, "JWT_SECRET_KEY has 5 bytes"),
        ({"JWT_SECRET_KEY": ""}, "nothing to check tokens with"),
        ({"LOG_LEVEL": "loud"}, "LOG_LEVEL is 'loud'"),
        ({"MAX_WORKERS": "many"}, "MAX_WORKERS is 'many'"),
        ({"MAX_WORKERS": "0"}, "MAX_WORKERS is '0'"),
        ({"DEVICE": "gpu"}, "DEVICE is 'gpu'"),
        ({"DEVICE": "cuda"}, "the containers are given no GPU"),
    ],
)
def test_what_could_not_work_is_refused_in_words(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as refused:
        check_environment(WORKS | given, load_profile("sample"))
    assert refused.value.hint


def test_all_problems_are_said_together() -> None:
    with pytest.raises(SettingsError) as refused:
        check_environment({"AURA_AUTH": "on", "MAX_WORKERS": "x", "DEVICE": "tpu"}, load_profile("sample"))
    assert len(refused.value.message.splitlines()) == 3


def test_what_is_given_and_not_used_is_said() -> None:
    sample, production = load_profile("sample"), load_profile("production")
    assert check_environment(WORKS | {"DEVICE": "cuda", HAS_GPU: "1", "MAX_WORKERS": "4"}, sample) == []
    (pinecone,) = check_environment(WORKS | {"PINECONE_API_KEY": "x"}, sample)
    assert "the index is LanceDB" in pinecone
    assert "AURA_INDEX__URI=s3://" in pinecone
    (openai,) = check_environment(WORKS | {"OPENAI_API_KEY": "x"}, sample)
    assert "AURA_SERVING__OPENAI_MODEL" in openai
    answered = load_profile("sample", ["serving.openai_model=a-model"])
    assert check_environment(WORKS | {"OPENAI_API_KEY": "x"}, answered) == []
    (token,) = check_environment(WORKS, production)
    assert "HF_TOKEN" in token
    assert check_environment(WORKS | {"HF_TOKEN": "x"}, production) == []


def test_nginx_and_prometheus_accept_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    profile = compose_environment(monkeypatch, home, AURA_MONITORING__WEBHOOK_URL=WEBHOOK)
    write_files(profile, has_gpu=True)
    check_configuration(home / "gateway" / "nginx.conf")
    written = home / "monitoring" / "prometheus.yml"
    rules = str(repo_root() / "deploy" / "monitoring" / "rules")
    checked = tmp_path / "prometheus.yml"
    checked.write_text(written.read_text().replace("/etc/prometheus/rules", rules))
    for command in (
        ["promtool", "check", "config", str(checked)],
        ["amtool", "check-config", str(home / "monitoring" / "alertmanager.yml")],
    ):
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    assert written.stat().st_mode & 0o777 == 0o644, "other accounts read it"


def test_every_address_is_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    profile = compose_environment(monkeypatch, home)
    write_files(profile, has_gpu=True)
    containers = composed("docker-compose.yml", "docker-compose.gpu.yml")["services"].keys()
    gateway = profile.gateway
    named = [*(found[0] for found in gateway.upstreams.values()), gateway.mlflow, gateway.prefect, gateway.grafana]
    named += [gateway.prometheus, gateway.platform_health, profile.monitoring.alertmanager]
    assert {address.split(":")[0] for address in named} <= containers
    assert gateway.upstreams == {
        service.name: (f"{service.name}_service:{service.default_port}",) for service in SERVICES.values()
    }
    scraped = yaml.safe_load((home / "monitoring" / "prometheus.yml").read_text())["scrape_configs"]
    names = [job["dns_sd_configs"][0]["names"][0] for job in scraped if "dns_sd_configs" in job]
    assert {*names} <= containers
    assert {job["job_name"] for job in scraped} == {*SERVICES, "platform", "node", "gpu"}
    plan = HealthPlan.model_validate(json.loads((home / "gateway" / "health.json").read_text()))
    assert {part.name for part in plan.parts if part.is_service} == SERVICES.keys()
    assert {part.url.split("/")[2].split(":")[0] for part in plan.parts} <= containers


def test_without_a_webhook_alerts_go_nowhere_and_alertmanager_runs() -> None:
    assert alertmanager(load_profile("sample"))["receivers"] == [{"name": "webhook"}]


def test_as_a_process_it_refuses_with_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compose_environment(monkeypatch, tmp_path / "home")
    assert main() == 0
    monkeypatch.setenv("DEVICE", "cuda")
    assert main() == 2
    assert "docker-compose.gpu.yml" in capsys.readouterr().err
