"""Bentos in the store: whole ones are found, half ones are not taken for whole."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from aura.artifact import write_json, write_text
from aura.paths import home, profile_paths
from aura.releases import Release
from flows import bento_contents, package
from flows.package import bento_environment, bentos_current, note_release, prove
from flows.profile import load_profile
from flows.services import SERVICES
from flows.workspace import Workspace


def packed(tag: str) -> tuple[Path, Path]:
    return home() / "bentoml" / "bentos" / tag.replace(":", "/"), home() / "bentoml" / "whole" / tag.replace(":", "-")


def test_a_bento_counts_when_it_is_there_and_was_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "served_release", lambda _: 2)
    workspace = Workspace(profile_paths("sample"), load_profile("sample"))
    assert not bentos_current(workspace)
    record = workspace.folder / "metrics" / "package.json"
    write_json(record, {"bentos": {"visual_analysis": {"tag": "visual:1"}}, "index_release": 2, "release": 0})
    folder, mark = packed("visual:1")
    assert not bentos_current(workspace)
    write_text(folder / "bento.yaml", "half a copy")
    assert not bentos_current(workspace)
    write_text(mark, "")
    assert bentos_current(workspace)
    monkeypatch.setattr(package, "served_release", lambda _: 1)
    assert not bentos_current(workspace), "the index was rolled back, but the Bento holds the other release"
    monkeypatch.setattr(package, "served_release", lambda _: 2)
    note_release(workspace, Release(number=5))
    assert not bentos_current(workspace), "the Bento says of its answers that they come from another release"
    note_release(workspace, Release(number=0))
    assert bentos_current(workspace)
    (folder / "bento.yaml").unlink()
    assert not bentos_current(workspace)


def test_whatever_goes_into_a_bento_changes_its_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    service = SERVICES["visual_analysis"]
    files = (
        bento_contents.LOCK,
        "pyproject.toml",
        "champions/detection/config.json",
    )
    for file in (*files, "index/table"):
        write_text(tmp_path / file, "before")
    write_json(tmp_path / "champions" / "champions.json", {"detection": {"version": "1"}})
    params = tmp_path / "params.yaml"
    write_text(params, "profile: sample\nserving: {}\n")
    monkeypatch.setattr(package, "repo_root", lambda: tmp_path)
    seen = set()
    for file in (None, *files, "index/table", "release", "options of the build"):
        if file == "options of the build":
            monkeypatch.setitem(bento_contents.BUILD_OPTIONS, "labels", {"project": "after"})
        elif file == "release":
            release = Release(number=4, models={"detection": "1", "chat": "2"})
            write_json(tmp_path / "champions" / "release.json", release.as_dict())
        elif file:
            write_text(tmp_path / file, "after")
        version = package._version(service, params, tmp_path / "champions", tmp_path / "index")
        assert version not in seen, file
        seen.add(version)


def test_a_bento_names_the_release_whose_parts_it_holds_and_no_other(tmp_path: Path) -> None:
    service, champions, index = SERVICES["visual_analysis"], tmp_path / "champions", tmp_path / "index"
    write_json(champions / "champions.json", {"detection": {"version": "1"}, "chat": {"version": "2"}})
    release = Release(number=4, models={"detection": "1", "chat": "2"}, reason="night-1")
    write_json(champions / "release.json", release.as_dict())
    pinned = package._pinned_release(service, champions, index)
    assert (pinned.number, pinned.models, pinned.reason) == (4, {"detection": "1"}, "night-1")
    write_json(champions / "champions.json", {"detection": {"version": "3"}, "chat": {"version": "2"}})
    assert package._pinned_release(service, champions, index) == Release(number=0, models={"detection": "3"})


def test_settings_of_the_environment_do_not_reach_a_stage_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_DETECTION__MAX_EPOCHS", "3")
    workspace = Workspace(profile_paths("sample"), load_profile("sample", ["detection.max_epochs=5"]))
    assert workspace.params()["detection"]["max_epochs"] == 5
    assert "AURA_DETECTION__MAX_EPOCHS" not in workspace.environment()
    assert "AURA_HOME" in workspace.environment()


@pytest.mark.slow
def test_a_bento_without_models_is_built_and_proven_on_a_database_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in bento_environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AURA_DATABASE_URL", "postgresql://nobody@db.invalid/people")
    service, champions = SERVICES["accounts"], tmp_path / "champions"
    write_json(champions / "champions.json", {})
    params = tmp_path / "params.yaml"
    write_text(params, "profile: sample\nserving: {accounts: {bcrypt_cost: 4}}\n")
    tag = package.pack(service, params, champions, tmp_path / "no index")
    folder = package.bento_folder(tag)
    assert not (folder / "src" / "pinned" / "index").exists()
    assert prove(service, tag, "sample", champions, start_seconds=240)["answer"].startswith("an account was made")
    assert not (home() / "secrets").exists(), "a proof leaves the keys of whatever else runs here alone"


_TINY = """
import bentoml
from fastapi import FastAPI

app = FastAPI()


@bentoml.service(name="tiny")
@bentoml.asgi_app(app, path="/api/v1/tiny")
class Tiny:
    @app.get("/health")
    def health(self) -> str:
        return "up"
"""


def test_a_proof_leaves_what_runs_beside_it_its_metrics_and_keeps_its_log(tmp_path: Path) -> None:
    write_text(tmp_path / "source" / "service.py", _TINY)
    build = "import bentoml; bentoml.bentos.build('service:Tiny', version='1', python={'lock_packages': False})"
    subprocess.run(
        [sys.executable, "-c", build], env=bento_environment(), cwd=tmp_path / "source", check=True, capture_output=True
    )
    counted = home() / "bentoml" / "prometheus_multiproc_dir" / "counter_1.db"
    log = profile_paths("sample").logs / "bento-tiny.log"
    for file in (counted, log):
        write_text(file, "before\n")
    tiny = replace(SERVICES["visual_analysis"], name="tiny", models=(), smoke_test=lambda url: f"asked {url}")
    proof = prove(tiny, "tiny:1", "sample", tmp_path, start_seconds=240)
    assert proof["answer"].startswith("asked http://127.0.0.1:")
    assert counted.is_file(), "BentoML empties the metrics in the home that it starts with"
    assert log.read_text(encoding="utf-8").startswith("before\n")
    assert len(log.read_text(encoding="utf-8").splitlines()) > 1
