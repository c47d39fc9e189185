"""The steps of a night: what each step needs, and how it is retried.

Steps that do not need each other run side by side. A step that fails stops only the steps that need it; the report has one line
per problem.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any

from prefect import Task, get_run_logger, task
from prefect.cache_policies import NO_CACHE

from aura.artifact import read_json
from aura.errors import AuraError, DeadlineError, DiskFullError
from aura.registry import Registry
from aura.releases import Release
from flows.drift import Drift
from flows.feedback import FeedbackCounts
from flows.fingerprints import WEIGHTS
from flows.guarded import guarded
from flows.package import bentos_current, note_release
from flows.people_tasks import feedback_task, predictions_task, saved_outfits_task
from flows.promotion import Champions, Outcome, failed, fetch_champions, judge_candidate, judged_against_another
from flows.releases import make_release
from flows.retention import Removal, remove, require_free_space
from flows.saved_outfits import SavedCounts
from flows.snapshots import record
from flows.stages import StageResult, run_stage, stop_running_stages
from flows.workspace import Workspace
from inference.references import unpinned
from inference.retrieval.releases import served_release
from training.models import MODELS


@task(name="stage", task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
def stage_task(
    workspace: Workspace, stage: str, timeout_minutes: float, deadline: float, force: bool = False
) -> StageResult:
    """Bring one stage of `dvc.yaml` up to date; no try of it goes on beyond the deadline."""
    logger = get_run_logger()
    seconds = max(0.0, min(timeout_minutes * 60, deadline - time.monotonic()))
    result = run_stage(workspace, stage, timeout_seconds=seconds, say=logger.info, force=force)
    logger.info("%s: %s after %.0f s", stage, "done" if result.ran else "nothing to do", result.seconds)
    return result


@task(name="promotion", task_run_name="promotion {model}", cache_policy=NO_CACHE, persist_result=False)
def promotion_task(workspace: Workspace, registry: Registry, model: str) -> Outcome:
    """Register the candidate, apply the gate, move the aliases."""
    outcome = judge_candidate(workspace, registry, model)
    get_run_logger().info("%s: %s (%s)", model, outcome.verdict, "; ".join(outcome.reasons))
    return outcome


@task(name="compare", task_run_name="compare {model}", cache_policy=NO_CACHE, persist_result=False)
def compare_task(workspace: Workspace, registry: Registry, model: str) -> bool:
    """Whether the candidate must be evaluated again, against the current champion."""
    return judged_against_another(workspace, registry, model)


@task(name="champions", cache_policy=NO_CACHE, persist_result=False)
def champions_task(workspace: Workspace, registry: Registry) -> Champions:
    """Bring the champions' artifacts into the working copy."""
    champions = fetch_champions(workspace, registry)
    logger = get_run_logger()
    found = ", ".join(f"{model} v{version}" for model, version in champions.versions.items())
    logger.info("champions: %s", found or "none yet")
    for model in champions.put_back:
        logger.warning(
            "%s: the registry's files of the champion were damaged, and were put back from a whole copy", model
        )
    return champions


@task(name="release", cache_policy=NO_CACHE, persist_result=False)
def release_task(workspace: Workspace, registry: Registry, reason: str) -> Release:
    """Serve what the night promoted."""
    release = make_release(registry, workspace.index, reason, workspace.profile.serving.device)
    get_run_logger().info("services answer from %s", release)
    return release


@task(name="record", cache_policy=NO_CACHE, persist_result=False)
def record_task(workspace: Workspace, tag: str) -> str:
    """Push snapshots and commit the night in the working copy."""
    return record(workspace, tag)


@task(name="retention", cache_policy=NO_CACHE, persist_result=False)
def retention_task(workspace: Workspace, registry: Registry, new_snapshot: bool) -> Removal:
    """Remove what the policy lets go."""
    logger = get_run_logger()
    removal = remove(workspace, registry, new_snapshot=new_snapshot, say=logger.info)
    for line in removal.summary():
        logger.info("removed %s", line)
    return removal


class Night:
    """A running night: the results, stages and problems so far."""

    def __init__(self, workspace: Workspace, registry: Registry, tag: str, deadline: float) -> None:
        """
        Args:
            tag: name of the night in the history of the working copy.
            deadline: value of `time.monotonic()` after which no step begins.
        """
        self.workspace, self.registry, self.tag, self.deadline = workspace, registry, tag, deadline
        self.interrupted = False
        """Whether a person or Prefect has ended the night: nothing more begins."""
        self.stages: list[StageResult] = []
        self.problems: dict[str, str] = {}
        self.results: dict[str, Any] = {}
        self.blocked: dict[str, str] = {}
        """Step to the failed step that it needed."""

    def run(self, steps: Mapping[str, Step]) -> None:
        """Begin the steps in their order, `night.side_by_side` at a time; skip one when what it needs failed or was skipped."""
        ends: dict[str, Future[None]] = {}
        with ThreadPoolExecutor(self.workspace.profile.night.side_by_side, "step") as pool:
            try:
                for name, step in steps.items():
                    # A step waits for earlier ones alone, and those hold a thread already: nobody waits for ever.
                    before = [ends[earlier] for earlier in (*step.needs, *step.after)]
                    # Prefect keeps the run that a task belongs to in the context.
                    ends[name] = pool.submit(copy_context().run, self._step, name, step, before)
                for end in wait(ends.values(), return_when=FIRST_EXCEPTION).done:
                    end.result()
            except BaseException:  # interrupted by a person, or cancelled
                self.interrupted = True
                stop_running_stages()
                raise

    def _step(self, name: str, step: Step, before: list[Future[None]]) -> None:
        wait(before)
        if self.interrupted:
            return
        cause = next((need for need in step.needs if need in self.problems or need in self.blocked), None)
        if cause is not None:
            self.blocked[name] = self.blocked.get(cause, cause)
            get_run_logger().warning("%s: not tried, %s failed", name, self.blocked[name])
            return
        self.results[name] = self.guarded(name, partial(step.work, self))

    def ended_well(self) -> dict[str, bool]:
        """Step to whether it was tried and has no problem."""
        return {name: name in self.results and name not in self.problems for name in STEPS}

    def outcome(self, model: str) -> Outcome:
        """Row of the night's table; a model whose step failed keeps its champion."""
        if model in self.blocked:
            return failed(self.workspace, self.registry, model, f"not tried: {self.blocked[model]} failed")
        outcome: Outcome | None = self.results[model]
        return outcome or failed(self.workspace, self.registry, model, self.problems[model].splitlines()[0])

    def seconds_left(self) -> float:
        """Seconds until the deadline.

        Raises:
            DeadlineError: the deadline has passed, or the night was interrupted.
        """
        if self.interrupted:
            raise DeadlineError("the night was interrupted", hint="start it again: it goes on where it was")
        left = self.deadline - time.monotonic()
        if left <= 0:
            minutes = self.workspace.profile.night.deadline_minutes
            raise DeadlineError(
                f"the night's {minutes:.0f} minutes are over", hint="raise night.deadline_minutes, or train for less"
            )
        return left

    def stage(self, name: str, *, force: bool = False) -> None:
        settings = self.workspace.profile.night
        minutes = settings.package_timeout_minutes if name == "package" else settings.stage_timeout_minutes
        retried = stage_task.with_options(**self._retry_options(settings.stage_retries))
        self.seconds_left()
        self.stages.append(retried(self.workspace, name, minutes, self.deadline, force))

    def store(self, work: Task[..., Any], *arguments: Any) -> Any:
        """Run a task on the registry or the snapshots, with retries: their servers may be restarting."""
        self.seconds_left()
        return work.with_options(**self._retry_options(self.workspace.profile.night.store_retries))(*arguments)

    def _retry_options(self, retries: int) -> dict[str, Any]:
        first = self.workspace.profile.night.retry_delay_seconds
        delays = [first * 2**attempt for attempt in range(retries)]

        # A function, because Prefect calls nothing else: it would read a method as False.
        def worth_another_try(_task: Any, _run: Any, state: Any) -> bool:
            """A retry helps after a kill or while a server is unavailable, not against bad settings or data."""
            try:
                state.result()
            except AuraError as error:
                return error.transient and not self.interrupted and time.monotonic() < self.deadline
            except Exception:
                return False
            return False

        return {"retries": retries, "retry_delay_seconds": delays or None, "retry_condition_fn": worth_another_try}

    def guarded(self, name: str, work: Callable[[], Any]) -> Any:
        """Run a step; an error becomes a problem in the report and does not end the night."""
        return guarded(name, work, self.problems)


@dataclass(frozen=True)
class Step:
    """One step of a night.

    Attributes:
        work: does the step and returns its result. Its time limit is that of its stage (`night.*_minutes`).
        needs: earlier steps that must succeed first.
        after: earlier steps that must have ended first, well or not.
    """

    work: Callable[[Night], Any]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def _free_space(night: Night) -> None:
    """A night that fills the disk leaves every store half-written; what the policy lets go is removed first."""
    paths, gigabytes = night.workspace.paths, night.workspace.profile.night.free_space_gb
    try:
        require_free_space(paths.home, gigabytes)
    except DiskFullError:
        if not (night.workspace.folder / ".dvc" / "config").is_file():
            raise
        night.store(retention_task, night.workspace, night.registry, True)
        require_free_space(paths.home, gigabytes)


def _set_up(night: Night) -> None:
    night.workspace.set_up()
    profile = night.workspace.profile.model_dump(mode="json")
    for reference in unpinned([profile.get(section) for section in WEIGHTS.values()]):
        get_run_logger().warning("%s: its weights change when the hub's do; name its commit: NAME@COMMIT", reference)


def _feedback(night: Night) -> FeedbackCounts | None:
    counts: FeedbackCounts | None = night.store(feedback_task, night.workspace)
    return counts


def _predictions(night: Night) -> list[Drift] | None:
    found: list[Drift] | None = night.store(predictions_task, night.workspace)
    return found


def _champions(night: Night) -> None:
    """A champion that is damaged in the registry is a problem in the report; a challenger can still replace it."""
    champions: Champions = night.store(champions_task, night.workspace, night.registry)
    for model, problem in champions.problems.items():
        night.problems[f"champion of {model}"] = problem
        get_run_logger().error("champion of %s: %s", model, problem)


def _prepare(night: Night) -> None:
    night.stage("prepare")


def _saved_outfits(night: Night) -> SavedCounts | None:
    counts: SavedCounts | None = night.store(saved_outfits_task, night.workspace)
    return counts


def _model(name: str, night: Night) -> Outcome:
    night.stage(f"train_{name}")
    night.stage(f"evaluate_{name}")
    if night.store(compare_task, night.workspace, night.registry, name):
        night.stage(f"evaluate_{name}", force=True)
    outcome: Outcome = night.store(promotion_task, night.workspace, night.registry, name)
    return outcome


def _outfits(night: Night) -> Outcome:
    try:
        return _model("outfits", night)
    finally:  # pictures and titles of people's garments lie there for the training alone
        night.workspace.clear_saved_outfits()


def _index(night: Night) -> dict[str, Any]:
    # The tables lie outside the working copy, so DVC does not notice when they are deleted.
    night.stage("index", force=served_release(night.workspace.index) is None)
    metrics: dict[str, Any] = read_json(night.workspace.folder / "metrics" / "index.json", "the index metrics")
    return metrics


def _release(night: Night) -> Release:
    """One release a night, of all that it promoted: services switch once, and one rollback takes the night back."""
    made: Release = night.store(release_task, night.workspace, night.registry, night.tag)
    note_release(night.workspace, made)
    return made


def _package(night: Night) -> dict[str, str]:
    _champions(night)  # the copies may be an hour old
    # The Bento store lies outside the working copy as well.
    night.stage("package", force=not bentos_current(night.workspace))
    packed = read_json(night.workspace.folder / "metrics" / "package.json", "the result of packing")
    return {service: bento["tag"] for service, bento in packed["bentos"].items()}


def _record(night: Night) -> str:
    tag: str = night.store(record_task, night.workspace, night.tag)
    return tag


def _retention(night: Night) -> list[str]:
    new_snapshot = night.results["record"] == night.tag
    removal: Removal = night.store(retention_task, night.workspace, night.registry, new_snapshot)
    return removal.summary()


_LONGEST_FIRST = sorted(MODELS, key=lambda model: model != "chat")
"""The chat takes as long as the others together: begun first, it leaves the least of a night to one step alone."""

STEPS: dict[str, Step] = {
    "free space": Step(_free_space),
    "working copy": Step(_set_up, needs=("free space",)),
    "feedback": Step(_feedback, needs=("working copy",)),
    # Behind each other: each holds a server of this home while it runs, where no other is named.
    "predictions": Step(_predictions, needs=("working copy",), after=("feedback",)),
    "champions": Step(_champions, needs=("working copy",)),
    "prepare": Step(_prepare, needs=("champions",)),
    "saved outfits": Step(_saved_outfits, needs=("prepare",), after=("predictions",)),
    **{model: Step(partial(_model, model), needs=("prepare",)) for model in _LONGEST_FIRST},
    "outfits": Step(_outfits, needs=("prepare",), after=("saved outfits",)),
    "index": Step(_index, needs=("prepare",)),
    # What failed keeps its champion, and the rest is served.
    "release": Step(_release, needs=("prepare",), after=(*_LONGEST_FIRST, "index")),
    # Needs no model and no index: after their failure, Bentos of the previous champions are better than none.
    "package": Step(_package, needs=("prepare",), after=("release",)),
    "record": Step(_record, needs=("prepare",), after=("package",)),
    # After the record, whose push makes the copies of the cache superfluous.
    "retention": Step(_retention, needs=("record",)),
}
"""Steps by name, in the order in which a night begins them."""
