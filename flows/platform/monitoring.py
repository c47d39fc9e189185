"""Prometheus' and Alertmanager's configurations, from the settings of a profile. The rules are files, in `deploy/monitoring/`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from aura.artifact import write_text
from aura.errors import StartError
from aura.paths import repo_root
from aura.secret_files import write_secret
from flows.profile import Profile

PLATFORM_JOB = "platform"
"""The job of the platform's health, beside one per service."""
_ALERTMANAGER = ("prometheus-alertmanager", "alertmanager")
"""Debian's name, and everybody else's."""


def rule_files() -> list[Path]:
    """Recording rules and alerts."""
    return sorted((repo_root() / "deploy" / "monitoring" / "rules").glob("*.yml"))


def alertmanager_program() -> str | None:
    """Alertmanager on this machine."""
    return next((found for name in _ALERTMANAGER if (found := shutil.which(name))), None)


def write_prometheus(profile: Profile, targets: Mapping[str, Sequence[str]], folder: Path) -> Path:
    """Write Prometheus' configuration and let promtool check it with the rules; returns the file.

    Args:
        targets: service to HOST:PORT of its replicas.

    Raises:
        StartError: promtool refuses it; carries its words.
    """
    file = folder / "prometheus.yml"
    write_text(file, yaml.safe_dump(prometheus_configuration(profile, targets), sort_keys=False))
    check_configuration("promtool", "check", "config", str(file))
    return file


def write_alertmanager(profile: Profile, folder: Path) -> Path:
    """Write Alertmanager's configuration, which holds the address of the webhook, and check it; returns the file.

    Raises:
        StartError: amtool refuses it; carries its words.
    """
    file = folder / "alertmanager.yml"
    settings = alertmanager_configuration(profile.monitoring.webhook_url.get_secret_value())
    write_secret(file, yaml.safe_dump(settings, sort_keys=False))
    check_configuration("amtool", "check-config", str(file))
    return file


def prometheus_configuration(profile: Profile, targets: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What Prometheus asks, how often, and what it looks for."""
    asked = {**targets, PLATFORM_JOB: [profile.gateway.platform_health]}
    alertmanager = [{"static_configs": [{"targets": [profile.monitoring.alertmanager]}]}]
    return {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": [str(file) for file in rule_files()],
        "alerting": {"alertmanagers": alertmanager if profile.monitoring.webhook_url.get_secret_value() else []},
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": list(found)}]} for name, found in asked.items()
        ],
    }


def alertmanager_configuration(webhook_url: str) -> dict[str, Any]:
    """One message for what belongs together; a ticket is repeated daily, what needs somebody now every hour."""
    return {
        "route": {
            "receiver": "webhook",
            "group_by": ["alertname", "job", "profile"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "24h",
            "routes": [{"matchers": ['severity="page"'], "repeat_interval": "1h"}],
        },
        # What follows from a database or a service that is away is not told beside it.
        "inhibit_rules": [
            {
                "source_matchers": ['alertname="DatabaseUnreachable"'],
                "target_matchers": ['alertname=~"ServiceDown|ErrorsAreFrequent"', 'job="accounts"'],
            },
            {
                "source_matchers": ['alertname="ServiceDown"'],
                "target_matchers": ['alertname=~"ErrorsAreFrequent|AnswersAreSlow|ChatAnswersAreSlow"'],
                "equal": ["job"],
            },
        ],
        "receivers": [{"name": "webhook", "webhook_configs": [{"url": webhook_url, "send_resolved": True}]}],
    }


def check_configuration(*command: str) -> None:
    """Let the program that belongs to a configuration read it.

    Raises:
        StartError: it refuses it; carries its words.
    """
    if shutil.which(command[0]) is None:  # it comes with the server in Debian, and the server reads the file as well
        return
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StartError(
            f"{command[0]} refuses {command[-1]}:\n{done.stdout}{done.stderr}",
            hint="correct the settings under `monitoring:` and `gateway:`",
        )
