"""What the end of a night removes, on the real Git, DVC and MLflow: everything that is still needed can be brought back."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aura.artifact import read_json, write_json, write_text
from aura.errors import DamagedArtifactError, DataError
from aura.in_use import holding
from aura.paths import profile_paths
from aura.registry import ARTIFACT_HASH, CHALLENGER, CHAMPION, FILES_REMOVED, ModelVersion, Registry
from flows import retention
from flows.package import bento_folder, bento_whole
from flows.profile import load_profile
from flows.promotion import JUDGED, fetch_champions
from flows.retention import JOURNAL, removable, remove
from flows.snapshots import nights, record, restore
from flows.workspace import Workspace

pytestmark = pytest.mark.slow  # every step of a night is a process of DVC's

_PIPELINE = """
stages:
  prepare:
    cmd: >-
      python -c "import pathlib; p = pathlib.Path('data/toy'); p.mkdir(parents=True);
      (p / 'rows').write_text('rows of ${seed} ' * 2000); (p / 'same').write_text('always the same')"
    params: [params.yaml: [seed]]
    outs: [data/toy]
  train_outfits:
    cmd: >-
      python -c "import pathlib; p = pathlib.Path('models/outfits'); p.mkdir(parents=True);
      (p / 'config.json').write_text('{\\"weights\\": \\"' + '${seed}' * 9000 + '\\"}')"
    params: [params.yaml: [seed]]
    deps: [data/toy]
    outs: [models/outfits]
"""
_KEEP = ("night.keep_nights=1", "night.keep_rejected=0", "night.keep_champions=0", "night.keep_bentos=1")


class World:
    """A home with recorded nights; the model of night `n` is version `n`, trained from seed `n`."""

    def __init__(self, definition: Path) -> None:
        self._definition = definition
        self.nights = 0
        self.workspace = self._open(1)
        self.registry = Registry(self.workspace.profile.tracking, "sample")

    def _open(self, seed: int) -> Workspace:
        profile = load_profile("sample", [f"seed={seed}", *_KEEP])
        return Workspace(profile_paths("sample"), profile, definition=self._definition)

    def night(self, *, promoted: bool, base: str = "") -> ModelVersion:
        """Prepare, train, register, judge, pack, record and report."""
        self.nights += 1
        self.workspace = self._open(self.nights)
        self.workspace.set_up()
        self.workspace.dvc("repro", "--quiet")
        candidate = f"candidate-{self.nights}"
        write_json(self.workspace.folder / "metrics" / "test" / "outfits.json", {"candidate_id": candidate})
        verdict = "promoted" if promoted else "kept champion"
        version = self.registry.register(
            "outfits", self.workspace.folder / "models" / "outfits", run_id=None,
            tags={"candidate_id": candidate, JUDGED: "true", "verdict": verdict, "base": base},
        )  # fmt: skip
        self.registry.set_alias("outfits", CHALLENGER, version.version)
        if promoted:
            self.registry.promote("outfits", version.version)
        self._leave_the_rest(self.tag(self.nights), candidate)
        record(self.workspace, self.tag(self.nights))
        return version

    def _leave_the_rest(self, tag: str, candidate: str) -> None:
        """A Bento, a report, checkpoints, a copy that services answered from."""
        paths = self.workspace.paths
        bento = bento_folder(f"outfit_recommendation:{candidate}")
        write_text(bento / "src" / "pinned" / "params.yaml", "profile: sample\n")
        write_text(bento / "bento.yaml", "")
        write_text(paths.home / "bentoml" / "whole" / f"outfit_recommendation-{candidate}", "")
        os.utime(bento, times=(time.time() + self.nights,) * 2)
        packed = {"outfit_recommendation": {"tag": f"outfit_recommendation:{candidate}"}}
        write_json(self.workspace.folder / "metrics" / "package.json", {"bentos": packed})
        write_text(paths.reports / tag / "report.md", "![curve](curve.png)")
        write_text(paths.reports / tag / "curve.png", "a curve")
        write_text(paths.reports / "latest.md", f"![curve]({tag}/curve.png)")
        write_json(paths.reports / tag / "result.json", {"snapshot": tag})
        write_text(self.workspace.folder / "checkpoints" / "outfits" / candidate / "last.ckpt", "weights")
        write_text(paths.home / "serving" / "sample" / "outfits" / candidate / "config.json", "{}")

    @staticmethod
    def tag(night: int) -> str:
        return f"night-2026010{night}-020000"

    def remove(self) -> retention.Removal:
        return remove(self.workspace, self.registry, new_snapshot=True, say=lambda _: None)

    def recorded(self) -> list[str]:
        return [night.tag for night in nights(self.workspace)]

    def stored_bytes(self) -> int:
        """Bytes of data and models in remote, cache and registry."""
        folders = ("dvc/remote/files", "dvc/cache/files", "mlflow/artifacts")
        found = [path for name in folders for path in (self.workspace.paths.home / name).rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in found)

    def assert_readable(self, target: Path) -> None:
        """Nothing that a person or a night can ask for is half there."""
        versions = self.registry.versions("outfits")
        for version in versions:
            if FILES_REMOVED not in version.tags:
                self.registry.download(version, target / f"v{version.version}")
        for version in versions:
            candidate = version.tags["candidate_id"]
            if bento_whole(f"outfit_recommendation:{candidate}"):
                assert (bento_folder(f"outfit_recommendation:{candidate}") / "src" / "pinned" / "params.yaml").is_file()
        for folder in self.workspace.paths.reports.glob("night-*/"):
            assert (folder / "curve.png").is_file()
        for folder in (self.workspace.paths.home / "serving" / "sample" / "outfits").glob("[!.]*/"):
            assert (folder / "config.json").is_file()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    definition = tmp_path / "pipeline.yaml"
    definition.write_text(_PIPELINE, encoding="utf-8")
    made = World(definition)
    with made.workspace.lock.held():
        yield made


def test_rollback_restore_and_links_find_what_they_need_and_the_rest_is_gone(world: World, tmp_path: Path) -> None:
    first = world.night(promoted=True)  # what the previous champion was trained from
    world.night(promoted=False)
    previous = world.night(promoted=True, base=first.tags[ARTIFACT_HASH])
    world.night(promoted=True)
    world.night(promoted=False)
    world.workspace.git("tag", "for-the-fair", world.tag(2))
    before = world.stored_bytes()
    removal = world.remove()

    assert removal.versions == {"outfits": ["2"]}
    assert (removal.nights, world.recorded()) == ([world.tag(2)], [world.tag(night) for night in (5, 4, 3, 1)])
    cache = world.workspace.paths.home / "dvc" / "cache" / "files"
    assert len(list(cache.rglob("*/*/*"))) == 5, "two folders and three files: what the working copy holds"
    assert world.stored_bytes() < 0.7 * before
    assert not (world.workspace.folder / JOURNAL).exists()
    # Rollback, also twice, and the base of the previous champion.
    for version in ("4", "3", "1"):
        world.registry.verify(world.registry.version("outfits", version))
    assert world.registry.rollback("outfits").version == previous.version
    assert fetch_champions(world.workspace, world.registry).versions == {"outfits": "3"}
    # Every night that is listed, and one that a person tagged, can be restored.
    for night in (5, 4, 3, 1):
        restored = restore(world.workspace, world.tag(night), tmp_path / f"restored-{night}")
        assert f"rows of {night} " in (restored / "data" / "toy" / "rows").read_text(encoding="utf-8")
        assert (restored / "models" / "outfits" / "config.json").is_file()
    world.workspace.git(
        "clone", "--quiet", "--branch", "for-the-fair", str(world.workspace.folder), str(tmp_path / "fair")
    )
    world.workspace.use_stores(tmp_path / "fair")
    world.workspace.dvc("--cd", str(tmp_path / "fair"), "pull", "--quiet")
    with pytest.raises(DataError, match=f"no night '{world.tag(2)}'"):
        restore(world.workspace, world.tag(2), tmp_path / "restored-2")
    # The latest report's picture, the latest Bento; no checkpoint that nothing resumes, no copy that nothing serves.
    reports = world.workspace.paths.reports
    assert [folder.name for folder in reports.glob("night-*/")] == [world.tag(5)]
    assert (reports / (reports / "latest.md").read_text(encoding="utf-8").split("](")[1].rstrip(")")).is_file()
    assert bento_whole("outfit_recommendation:candidate-5")
    assert not bento_folder("outfit_recommendation:candidate-4").exists()
    assert not list(world.workspace.folder.glob("checkpoints/outfits/*/*.ckpt"))
    copies = world.workspace.paths.home / "serving" / "sample" / "outfits"
    assert sorted(folder.name for folder in copies.iterdir()) == ["candidate-3", "candidate-4"]
    # Of a version without files its verdict stays, and who asks for it is told.
    gone = world.registry.version("outfits", "2")
    assert gone.tags["verdict"] == "kept champion"
    with pytest.raises(DamagedArtifactError, match=r"were removed on .* to save space"):
        world.registry.verify(gone)
    world.workspace.dvc("repro", "--quiet")
    assert not world.remove().versions


class KilledError(BaseException):
    """As a kill: nothing catches it."""


class Kill:
    """Kills a removal before or after its n-th step; steps are counted from 1, and 0 kills nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        for name in ("write_json", "forget", "remove_bento", "remove_unless_in_use", "finish_removal"):
            monkeypatch.setattr(retention, name, self._step(getattr(retention, name)))
        for name in ("mark_files_removed", "remove_files"):
            monkeypatch.setattr(Registry, name, self._step(getattr(Registry, name)))

    def _step(self, work: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            self._count()
            done = work(*arguments, **options)
            self._count()
            return done

        return step

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise KilledError


def test_a_removal_that_is_killed_anywhere_leaves_nothing_half_and_the_next_one_finishes_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for promoted in (True, True, True, False):
        world.night(promoted=promoted)
    home = world.workspace.paths.home
    removed = (
        "pipelines/sample/.git/refs",
        "pipelines/sample/checkpoints",
        "bentoml",
        "reports",
        "serving",
        "mlflow/artifacts",
    )
    for name in removed:
        shutil.copytree(home / name, tmp_path / "before" / name)
    with monkeypatch.context() as patched:
        kill = Kill(patched)
        garbage: list[Workspace] = []
        patched.setattr(retention, "collect_garbage", garbage.append)
        for step in range(1, 200):
            kill.left = step
            try:
                world.remove()
            except KilledError:
                world.assert_readable(tmp_path / "copies")
            else:
                break
            kill.left = 0
            garbage.clear()
            world.remove()
            assert garbage, "the space of nights that were forgotten before the kill is freed"
            assert FILES_REMOVED in world.registry.version("outfits", "1").tags
            assert world.recorded() == [world.tag(night) for night in (4, 3, 2)]
            assert not [path for path in home.rglob(".removing*") if path.exists()]
            world.assert_readable(tmp_path / "copies")
            for name in removed:
                shutil.copytree(tmp_path / "before" / name, home / name, dirs_exist_ok=True)
            whole = tmp_path / "before" / _artifact(world, "1").relative_to(home)
            assert world.registry.put_back(world.registry.version("outfits", "1"), whole)
        assert step > 20, "every step was killed before and after"
    world.remove()
    assert not _artifact(world, "1").exists()
    assert len(list((home / "dvc" / "remote" / "files").rglob("*/*/*"))) == 3 * 4 + 1, (
        "four files of each night and a shared one"
    )
    restore(world.workspace, world.tag(2), tmp_path / "restored")


def _artifact(world: World, number: str) -> Path:
    """Where the store keeps the files of a version."""
    run = world.registry.version("outfits", number).run_id
    return next((world.workspace.paths.home / "mlflow" / "artifacts").glob(f"*/{run}/artifacts")) / "model"


def test_what_an_operator_needs_after_the_plan_was_made_is_not_removed(world: World) -> None:
    for promoted in (True, True, True, False):
        world.night(promoted=promoted)
    plan = removable(world.workspace, world.registry)
    assert plan.versions == {"outfits": ["1"]}
    world.registry.promote("outfits", "1")
    write_json(world.workspace.folder / JOURNAL, retention.asdict(plan))  # as if killed right after it was written
    world.remove()
    world.registry.verify(world.registry.version("outfits", "1"))
    assert world.tag(1) in world.recorded()


def test_a_journal_that_cannot_be_read_is_no_obstacle(world: World) -> None:
    world.night(promoted=True)
    for content in ("", '{"of another version": 1}'):
        write_text(world.workspace.folder / JOURNAL, content)
        world.remove()
        assert not (world.workspace.folder / JOURNAL).exists()
    assert world.registry.versions("outfits")[0].aliases == [CHALLENGER, CHAMPION]


def test_a_copy_that_a_service_is_loading_stays(world: World) -> None:
    for promoted in (True, True, True):
        world.night(promoted=promoted)
    copies = world.workspace.paths.home / "serving" / "sample" / "outfits"
    with holding(copies / "candidate-1") as held:
        assert held
        world.remove()
    assert sorted(folder.name for folder in copies.iterdir()) == ["candidate-1", "candidate-2", "candidate-3"]
    assert read_json(copies / "candidate-1" / "config.json", "the copy") == {}


def test_the_other_profiles_of_a_home_which_share_its_stores_lose_nothing(world: World, tmp_path: Path) -> None:
    other = Workspace(profile_paths("other"), load_profile("sample", ["seed=71"]), definition=world._definition)
    other.folder.mkdir(parents=True)
    other.set_up()
    other.dvc("repro", "--quiet")
    record(other, "night-20250101-020000")
    write_text(other.folder / "unrecorded", "")  # this profile is in mid-night
    for promoted in (True, False):
        world.night(promoted=promoted)
    world.remove()
    restored = restore(other, "night-20250101-020000", tmp_path / "other")
    assert "rows of 71 " in (restored / "data" / "toy" / "rows").read_text(encoding="utf-8")
    assert "up to date" in other.dvc("status")


def test_a_configured_remote_which_other_homes_may_share_loses_nothing(world: World, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    for night in (1, 2):
        profile = load_profile("sample", [f"seed={night}", *_KEEP, f"night.remote={shared}"])
        workspace = Workspace(profile_paths("sample"), profile, definition=world._definition)
        workspace.set_up()
        workspace.dvc("repro", "--quiet")
        record(workspace, world.tag(night))
    objects = {path for path in shared.rglob("*") if path.is_file()}
    assert remove(workspace, world.registry, new_snapshot=True).nights
    assert objects <= {path for path in shared.rglob("*") if path.is_file()}
    restore(workspace, world.tag(2), tmp_path / "from-shared")
