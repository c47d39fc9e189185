"""How long the weekly maintenance leaves things. Every command reads this: nothing heavy is imported."""

from __future__ import annotations

from pydantic import Field

from aura.settings import Section


class MaintenanceSettings(Section):
    """`aura maintenance`; what nights leave goes by `night.keep_*`."""

    statistics_days: int = Field(default=7, ge=1)
    """Days after which the planner's statistics of a table that has changed are made anew."""
    keep_runs_days: int = Field(default=90, ge=1)
    """Days that MLflow's runs stay of which no version was registered: trainings that were broken off, `aura train`."""
    keep_deleted_days: int = Field(default=30, ge=1)
    """Days that a deleted run or experiment can be restored on MLflow's page; then it is gone for good."""
    keep_logs_days: int = Field(default=30, ge=1)
    """Days that a log stays which nobody has written to."""
    audit: bool = True
    """Ask PyPI for known vulnerabilities of what is installed, if `pip-audit` is."""
    wait_minutes: float = Field(default=0.0, ge=0)
    """Minutes to wait for a night that is under way; the schedule waits for a whole night."""
