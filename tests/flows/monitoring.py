"""What the rules and dashboards of `deploy/monitoring/` ask for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from aura.paths import repo_root

_FOLDER = repo_root() / "deploy" / "monitoring"
_METRIC = re.compile(r"(?<![\w:])aura_\w+(?![\w:])")


def rules() -> list[dict[str, Any]]:
    """Recording rules and alerts."""
    files = sorted((_FOLDER / "rules").glob("*.yml"))
    return [
        rule
        for file in files
        for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"]
        for rule in group["rules"]
    ]


def dashboards() -> list[dict[str, Any]]:
    files = sorted((_FOLDER / "grafana" / "dashboards").glob("*.json"))
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def panels() -> Iterator[tuple[str, str]]:
    """Title and expression of everything that a panel shows."""
    for dashboard in dashboards():
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield f"{dashboard['title']}: {panel['title']}", target["expr"]


def asked_metrics() -> set[str]:
    """Metrics of ours that a rule, a panel or a variable of a dashboard names."""
    variables = [each["query"]["query"] for board in dashboards() for each in board["templating"]["list"]]
    texts = [*(rule["expr"] for rule in rules()), *(expression for _, expression in panels()), *variables]
    return {name for text in texts for name in _METRIC.findall(text)}


def sample_names(text: str) -> set[str]:
    """Names of the samples in Prometheus' text format."""
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
