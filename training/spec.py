"""A model as one object: its settings, training, evaluation, gate rule and smoke test.

Each model has one, `SPEC` in `training/<model>/spec.py`, and `training.models` lists them. A spec is read by every command,
so its module imports nothing heavy: training and evaluation are imported by the functions that call them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from aura.errors import SettingsError
from aura.settings import Section, validate
from inference.smoke_test import SmokeTest
from training.context import Evaluation, TrainContext
from training.judged import JudgedCases
from training.settings import RunSettings, TrainerSettings

_SHARED = "retrieval"
"""Section of a profile that decides how passages are found, for the index and for a model that answers from them."""


class GateRule(Section):
    """When a challenger of one model takes the champion's place. For every metric named here, higher is better."""

    metric: str
    compare: str = ""
    """Metric that challenger and champion are compared by, when it is not `metric`."""
    controls: Literal["better", "not worse", "ignored"] = "better"
    """What a model must be, by more than chance, beside every control that needs no training. `not worse` is for test splits too
    small to tell a model from the counts that it holds itself, by a metric at which one that has learnt nothing is worse."""
    floor: float | None = None
    """Value of `metric` below which nothing serves, whatever the controls reach."""
    min_gain: float = Field(default=0.01, ge=0)
    """Gain over the champion, relative to the champion's value, that is not worth a change, however certain it is."""
    seed_deviation: float = Field(default=0.0, ge=0)
    """Standard deviation of the compared metric between trainings that differ in the seed alone; it widens the interval. Which
    photos are in the judging half is one source of chance, which seed a training had another: a gain that the next seed takes
    back is not worth a change. `make bench-gate` measures it."""
    max_slice_drop: float = Field(default=0.3, gt=0)
    """Largest absolute fall of the metric in one slice (category, topic)."""
    min_slice_size: int = Field(default=20, ge=1)
    """Test cases below which a slice has no vote: chance decides a slice of six boxes."""


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """One model.

    Attributes:
        name: names its folders in `inference/` and `training/`, its section of a profile, its stages and its registry entry.
        settings: schema of its section of a profile.
        data_folders: folders below the prepared data that training and evaluation read.
        train: trains into `TrainContext.out_dir` and returns validation metrics.
        evaluate: (artifact directory, prepared data, settings, seed) -> metrics on the test split.
        controls: (prepared data, settings, seed) -> what needs no training of this kind (counting, a fixed guess), by name, on
            the judging half. Controls that depend on an artifact (its base) come from `evaluate`.
        metrics: each metric of `evaluate` to what it says, with its range or unit and which way is better.
        slice_metric: the metric whose values `Evaluation.slices` holds.
        gate: the gate's rule, whose floor a profile sets.
        smoke_test: fixed inputs that every copy of an artifact must answer as the trained model did.
    """

    name: str
    settings: type[TrainerSettings]
    data_folders: tuple[str, ...]
    train: Callable[[Any, TrainContext], dict[str, float]]
    evaluate: Callable[[Path, Path, Any, int], Evaluation]
    gate: type[GateRule]
    smoke_test: SmokeTest
    controls: Callable[[Path, Any, int], Mapping[str, JudgedCases]] = lambda *_: {}
    metrics: Mapping[str, str] = field(default_factory=dict)
    slice_metric: str = ""

    @property
    def entries(self) -> tuple[str, ...]:
        """Modules that a training runs; with what they import they decide what it yields."""
        return ("training.train", f"training.{self.name}.train", f"inference.{self.name}.smoke_test")

    def read_settings(self, values: Mapping[str, Any]) -> tuple[TrainerSettings, RunSettings]:
        """This model's section of a profile's values, and the settings that all trainings share.

        Raises:
            SettingsError: lists what is wrong in these sections; or as `with_shared_sections`.
        """
        shared = {key: values[key] for key in RunSettings.model_fields if key in values}
        section = self.with_shared_sections(values)
        return validate(self.settings, section, self.name), validate(RunSettings, shared)

    def with_shared_sections(self, values: Mapping[str, Any]) -> Any:
        """This model's section of a profile's values, with those sections of the profile that its settings repeat.

        Raises:
            SettingsError: the model's section says otherwise than the profile's own.
        """
        section = values.get(self.name)
        if not isinstance(section, Mapping | None) or _SHARED not in self.settings.model_fields:
            return section
        section, shared = dict(section or {}), values.get(_SHARED) or {}
        if section.get(_SHARED) and section[_SHARED] != shared:
            raise SettingsError(
                f"{self.name}.{_SHARED} differs from the section {_SHARED} of the profile, whose copy it is",
                hint=f"set it in {_SHARED} alone: the index and the model then find the same passages",
            )
        return section | {_SHARED: shared} if shared else section
