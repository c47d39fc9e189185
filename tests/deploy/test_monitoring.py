"""Rules and dashboards: Prometheus accepts them, each alert has a test and a line in the docs, and what they ask for exists."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY
from typer.main import get_command

from aura.paths import repo_root
from bentos.serving import metrics
from flows.cli.app import app
from tests.flows.monitoring import asked_metrics, dashboards, panels, rules, sample_names
from tests.flows.test_night_metrics import platform_text

MONITORING = repo_root() / "deploy" / "monitoring"
_OPERATIONS = repo_root() / "docs" / "operations.md"


def promtool(*arguments: str | Path) -> None:
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def test_prometheus_accepts_the_rules() -> None:
    promtool("check", "rules", *sorted((MONITORING / "rules").glob("*.yml")))


@pytest.mark.parametrize("file", sorted((MONITORING / "tests").glob("*.yml")), ids=lambda file: file.stem)
def test_alerts_come_when_they_must_and_only_then(file: Path) -> None:
    promtool("test", "rules", file)


def test_every_alert_is_seen_to_come_and_to_stay_away() -> None:
    cases = [
        case
        for file in (MONITORING / "tests").glob("*.yml")
        for test in yaml.safe_load(file.read_text(encoding="utf-8"))["tests"]
        for case in test.get("alert_rule_test", [])
    ]
    at_once = {name for name, rule in alerts().items() if "for" not in rule}
    assert {case["alertname"] for case in cases if case.get("exp_alerts")} == alerts().keys()
    assert {case["alertname"] for case in cases if not case.get("exp_alerts")} >= alerts().keys() - at_once - {
        "ChatAnswersAreSlow"  # its rule is that of AnswersAreSlow on another metric
    }


def test_prometheus_understands_every_panel(tmp_path: Path) -> None:
    asked = [expression.replace("$service", "accounts") for _, expression in panels()]
    file = tmp_path / "panels.yml"
    recorded = [{"record": f"panel:number:{number}", "expr": text} for number, text in enumerate(asked)]
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": recorded}]}), encoding="utf-8")
    promtool("check", "rules", file)


def test_panels_have_ids_of_their_own_and_lie_beside_each_other() -> None:
    for dashboard in dashboards():
        found = dashboard["panels"]
        assert len({panel["id"] for panel in found}) == len(found)
        cells = [cell for panel in found for cell in _cells(**panel["gridPos"])]
        assert len(set(cells)) == len(cells), f"panels of {dashboard['title']} cover each other"
        assert max(column for column, _ in cells) < 24
    uids = [dashboard["uid"] for dashboard in dashboards()]
    assert len(set(uids)) == len(uids)


def _cells(x: int, y: int, w: int, h: int) -> Iterator[tuple[int, int]]:
    return ((column, line) for column in range(x, x + w) for line in range(y, y + h))


def test_panels_ask_the_data_source_that_is_provisioned() -> None:
    folder = MONITORING / "grafana" / "provisioning"
    source = yaml.safe_load((folder / "datasources" / "prometheus.yml").read_text(encoding="utf-8"))["datasources"][0]
    used = {panel["datasource"]["uid"] for dashboard in dashboards() for panel in dashboard["panels"]}
    assert used == {source["uid"]}
    assert json.dumps(source).count("://") == 0, "the address comes from the environment"


def test_every_metric_in_a_rule_or_a_panel_is_one_that_something_exports(tmp_path: Path) -> None:
    """Names alone; `tests/e2e/test_exported_metrics.py` asks running services."""
    assert metrics.metrics_app, "their metrics are registered"
    served = {sample for family in REGISTRY.collect() for sample in _names(family.name, family.type)}
    exported = served | sample_names(platform_text(tmp_path))
    assert asked_metrics() - exported == set()


def _names(family: str, kind: str) -> Iterator[str]:
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(kind, ("",))
    return (family + suffix for suffix in suffixes)


def test_what_is_recorded_is_used_and_what_is_used_is_recorded() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    text = " ".join([*(rule["expr"] for rule in rules()), *(expression for _, expression in panels())])
    assert set(re.findall(r"\b\w+:\w+(?::\w+)?\b", re.sub(r'"[^"]*"', "", text))) == recorded


def test_the_operator_finds_every_alert_and_no_other_in_the_docs() -> None:
    lines = re.findall(r"^\| `(\w+)` \| (page|ticket) \|", _OPERATIONS.read_text(encoding="utf-8"), re.MULTILINE)
    assert dict(lines) == {name: rule["labels"]["severity"] for name, rule in alerts().items()}


def test_every_command_that_an_alert_or_the_docs_name_exists() -> None:
    docs = _OPERATIONS.read_text(encoding="utf-8")
    texts = [part for rule in alerts().values() for part in rule["annotations"]["action"].split(";")]
    commands = [text.strip() for text in texts if text.strip().startswith("aura ")]
    commands += re.findall(r"`(aura [^`]+)`", docs) + re.findall(r"^(?:\w+=\S+ )*(aura [^#\\\n]+)", docs, re.MULTILINE)
    assert len(commands) > 20
    for command in commands:
        assert _exists(command.split()[1:]), command


def _exists(words: list[str]) -> bool:
    found: Any = get_command(app)
    for word in words:
        if not hasattr(found, "commands"):
            return True
        if word not in found.commands:
            return False
        found = found.commands[word]
    return not hasattr(found, "commands")
