"""A whole profile: every section, checked together so that all problems come in one message.

The sections of the models and their gate rules are made from `training.models`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Self

from pydantic import Field, SecretStr, create_model, field_validator, model_validator

from aura.settings import Place, Section, read_profile, validate
from aura.tracking import TrackingSettings
from bentos.serving.settings import ServingSettings
from dataprep.settings import DataSettings
from flows.backup.settings import BackupSettings
from flows.gate import GateSettings, gate_settings
from flows.gateway.settings import GatewaySettings
from flows.maintenance.settings import MaintenanceSettings
from flows.platform.settings import MonitoringSettings
from flows.services import SERVICES
from inference.retrieval.settings import IndexSettings, RetrievalSettings
from training.models import MODELS
from training.spec import ModelSpec


class NightSettings(Section):
    """How hard the nightly flow tries, how long it may take, and who hears of it."""

    deadline_minutes: float = Field(default=480.0, gt=0)
    """Minutes after which a night begins nothing more and ends what runs; what it has is reported."""
    side_by_side: int = Field(default=2, ge=1)
    """Steps that run at a time: trainings of small models leave each other room on two cores. 1 where they share one GPU."""
    stage_retries: int = Field(default=1, ge=0)
    """Further tries of a stage that was killed, ran out of time or met something that was away."""
    retry_delay_seconds: float = Field(default=5.0, ge=0)
    """Seconds before the first further try of anything; each later one waits twice as long."""
    store_retries: int = Field(default=5, ge=0)
    """Further tries of what reads or writes registry and snapshots: with 5 s before the first, a server may be away for
    two and a half minutes."""
    stage_timeout_minutes: float = Field(default=60.0, gt=0)
    """Minutes for one try of a stage other than `package`."""
    package_timeout_minutes: float = Field(default=15.0, gt=0)
    """Minutes for one try of the `package` stage."""
    check_timeout_minutes: float = Field(default=5.0, gt=0)
    """Minutes for a registered copy to load and answer its smoke test."""
    prefect_start_seconds: float = Field(default=90.0, gt=0)
    """Seconds for the Prefect server of a night that was given none to answer."""
    remote: Place = ""
    """DVC remote that snapshots are pushed to; empty: a folder under the home folder."""
    keep_nights: int = Field(default=14, ge=1)
    """Newest recorded nights that can be restored, and newest reports; older ones stay where a version that is kept, the
    served index, a kept report or a tag of somebody's needs them."""
    keep_rejected: int = Field(default=3, ge=0)
    """Newest versions per model that were never promoted and keep their files, besides those with an alias or the tag `keep`."""
    keep_champions: int = Field(default=5, ge=0)
    """Newest versions per model that were once promoted and keep their files, besides those with an alias or the tag `keep`."""
    keep_bentos: int = Field(default=3, ge=1)
    """Newest Bentos per service that stay in the store, besides those that are being served."""
    keep_predictions_days: int = Field(default=30, ge=2)
    """Days that a row of the prediction log stays."""
    drift_days: int = Field(default=7, ge=1)
    """Newest days of the prediction log, which are compared with all days before them."""
    drift_least_answers: int = Field(default=200, ge=20)
    """Answers on each side of that comparison, below which it says nothing."""
    saved_share: float = Field(default=0.1, ge=0, le=1)
    """Most outfits that people have saved which the outfit model is trained on, as a share of the prepared training outfits; the
    newest are taken. 0: none."""
    saved_per_person: int = Field(default=20, ge=1)
    """Most of them that one person has saved, the newest: nobody's taste outweighs the others'."""
    free_space_gb: float = Field(default=2.0, ge=0)
    """Gigabytes (10^9 bytes) that the disk of the home folder must have free before a night begins."""
    heartbeat_url: SecretStr = Field(default=SecretStr(""), exclude=True)
    """Address that is called at the end of a good night: a dead-man's switch there raises the alarm when no call comes.
    Give it as `AURA_NIGHT__HEARTBEAT_URL`; it is left out of everything that is written down."""

    @field_validator("remote")
    @classmethod
    def _dvc_can_reach_it(cls, remote: str) -> str:
        if remote.startswith("s3://") and find_spec("dvc_s3") is None:
            raise ValueError(
                "DVC reaches s3:// with the package dvc-s3, whose requirements contradict those of the lock files; name a "
                "folder, for example of a mounted bucket, or install dvc-s3 into an environment of your own"
            )
        return remote

    @model_validator(mode="after")
    def _days_are_left_to_compare_with(self) -> Self:
        if self.drift_days >= self.keep_predictions_days:
            raise ValueError(
                f"drift_days is {self.drift_days} and keep_predictions_days {self.keep_predictions_days}: no days are left "
                "to compare with"
            )
        return self


class Profile(Section):
    """What every profile holds besides a section per model: base of the schema that `profile_schema` makes."""

    profile: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$|^$")
    seed: int = 7
    data: DataSettings = DataSettings()
    gate: GateSettings = GateSettings()
    index: IndexSettings = IndexSettings()
    retrieval: RetrievalSettings = RetrievalSettings()
    serving: ServingSettings = ServingSettings()
    gateway: GatewaySettings = GatewaySettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    backup: BackupSettings = BackupSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    tracking: TrackingSettings = TrackingSettings()
    night: NightSettings = NightSettings()

    @model_validator(mode="before")
    @classmethod
    def _models_search_as_the_index_does(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        sections = {
            name: spec.with_shared_sections(values) for name, spec in MODELS.items() if name in cls.model_fields
        }
        return {**values, **{name: section for name, section in sections.items() if section is not None}}

    @model_validator(mode="after")
    def _backups_end_when_a_deletion_says(self) -> Self:
        if self.backup.days > (promised := self.serving.accounts.copies_days):
            raise ValueError(
                f"backup.keep_* keeps backups for {self.backup.days} days, and who deletes an account is told that "
                f"no copy is left after {promised}: keep fewer, or raise serving.accounts.copies_days"
            )
        return self

    @model_validator(mode="after")
    def _ports_are_of_services(self) -> Self:
        for key, named in (("serving.ports", self.serving.ports), ("gateway.upstreams", self.gateway.upstreams)):
            if unknown := sorted(named.keys() - SERVICES.keys()):
                raise ValueError(f"{key} names {', '.join(unknown)}; known services: {', '.join(SERVICES)}")
        return self


def profile_schema(models: Mapping[str, ModelSpec] = MODELS) -> type[Profile]:
    """Schema of `configs/*.yaml`: `Profile` with a section and a gate rule per model."""
    gate = gate_settings(models)
    fields: dict[str, Any] = {name: (spec.settings, spec.settings()) for name, spec in models.items()}
    return create_model("Profile", __base__=Profile, **fields, gate=(gate, gate()))


def load_profile(name: str, overrides: Sequence[str] = ()) -> Profile:
    """Read and check a profile by name or path.

    Raises:
        SettingsError: lists every problem.
    """
    return validate(profile_schema(), read_profile(name, overrides))
