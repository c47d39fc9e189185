"""What watches the platform. Every command reads this: nothing heavy is imported."""

from __future__ import annotations

from pydantic import Field, SecretStr

from aura.settings import Section
from flows.gateway.settings import Address


class MonitoringSettings(Section):
    """Prometheus keeps the metrics and judges the alerts' rules; Alertmanager sends what it finds."""

    keep_days: int = Field(default=15, ge=1)
    """Days for which metrics are kept."""
    alertmanager: Address = "127.0.0.1:9093"
    """Alertmanager, which `aura up` starts where it is installed and `webhook_url` is set."""
    webhook_url: SecretStr = Field(default=SecretStr(""), exclude=True)
    """Address that alerts are posted to, as Alertmanager's webhooks are. Give it as `AURA_MONITORING__WEBHOOK_URL`: it is left
    out of everything that is written down but Alertmanager's own configuration."""
