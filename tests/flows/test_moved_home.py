"""A home that is moved between two nights, and a home whose path has letters and signs that some store would misread."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import yaml

from aura.artifact import write_json, write_text
from aura.errors import SettingsError
from aura.paths import profile_paths, repo_root
from aura.registry import Registry
from flows.package import bento_environment
from flows.processes import free_port, stop, wait_until_healthy
from flows.profile import load_profile
from flows.promotion import fetch_champions
from flows.snapshots import nights, record, restore
from flows.stages import run_stage
from flows.workspace import Workspace

_TOY = """
stages:
  prepare:
    cmd: python -c "import pathlib; p = pathlib.Path('data/toy'); p.mkdir(parents=True); (p / 'rows').write_text('seed ${seed}')"
    params:
      - params.yaml:
          - seed
    outs:
      - data/toy
"""
ODD = "j\u00fcrgen #1, 100% %25 'a' [b] (c) & $d;e"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    write_text(tmp_path / "toy.yaml", _TOY)
    return tmp_path / "toy.yaml"


def night(toy: Path, tag: str, *overrides: str) -> tuple[Workspace, bool]:
    """What a night does with its stores, without its trainings; also whether the stage had anything to do."""
    profile = load_profile("sample", overrides)
    workspace = Workspace(profile_paths("sample"), profile, definition=toy)
    with workspace.lock.held(tag):
        workspace.set_up()
        registry = Registry(profile.tracking, profile.profile)
        assert not fetch_champions(workspace, registry).problems
        ran = run_stage(workspace, "prepare", timeout_seconds=120).ran
        artifact = workspace.folder / "models" / "outfits"
        write_json(artifact / "config.json", {"seed": profile.seed})
        tags = {"candidate_id": f"candidate-{profile.seed}"}
        registry.promote("outfits", registry.register("outfits", artifact, run_id=None, tags=tags).version)
        assert fetch_champions(workspace, registry).problems == {}
        record(workspace, tag)
    return workspace, ran


def seed_of(folder: Path) -> str:
    return (folder / "data" / "toy" / "rows").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["elsewhere", ODD])
def test_a_home_moved_between_two_nights_loses_nothing_and_does_nothing_twice(
    toy: Path, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    night(toy, "night-20260101-020000")
    night(toy, "night-20260102-020000", "seed=8")
    moved = tmp_path / name
    own_home.rename(moved)
    monkeypatch.setenv("AURA_HOME", str(moved))

    before = Workspace(profile_paths("sample"), load_profile("sample"), definition=toy)
    back = restore(before, "night-20260101-020000", tmp_path / "back")  # before any night has run in the new place
    assert seed_of(back) == "seed 7"
    Registry(before.profile.tracking, "sample").rollback("outfits")

    workspace, ran = night(toy, "night-20260103-020000", "seed=8")
    assert not ran, "the move changes no input"
    night(toy, "night-20260104-020000", "seed=9")
    assert [made.tag[-15:-7] for made in nights(workspace)] == ["20260104", "20260102", "20260101"]
    assert seed_of(restore(workspace, "night-20260102-020000", tmp_path / "second")) == "seed 8"
    assert not own_home.exists(), "something still writes to the old place"
    for file in moved.rglob("config*"):
        if file.parent.name == ".dvc":
            assert str(own_home) not in file.read_text(encoding="utf-8")


def test_every_store_takes_a_home_of_odd_letters_and_signs(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / ODD / "var"
    monkeypatch.setenv("AURA_HOME", str(home))
    workspace, ran = night(toy, "night-20260101-020000")
    assert ran
    assert seed_of(restore(workspace, "night-20260101-020000", tmp_path / "back")) == "seed 7"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([ODD, "back", "toy.yaml"])
    assert [path.name for path in (tmp_path / ODD).iterdir()] == ["var"]


@pytest.mark.parametrize("name", ["store #1, 100%", "relative"])
def test_a_remote_of_ones_own_may_be_relative_and_have_any_name(
    toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    workspace, _ = night(toy, "night-20260101-020000", f"night.remote={yaml.safe_dump(name).strip()}")
    assert [path for path in (tmp_path / name).rglob("files/md5/*/*") if path.is_file()]
    assert not (workspace.folder / name).exists()
    assert not (workspace.paths.home / "dvc" / "remote").exists()


def test_a_remote_that_dvc_cannot_be_told_of_is_refused_in_words(toy: Path) -> None:
    workspace = Workspace(
        profile_paths("sample"), load_profile("sample", ["night.remote=/store/a%(x)s"]), definition=toy
    )
    with pytest.raises(SettingsError, match="cannot hold one of these places") as caught:
        workspace.use_stores(workspace.folder)
    assert "night.remote" in caught.value.hint


@pytest.mark.slow
def test_prefect_starts_in_a_home_of_odd_letters_and_signs(tmp_path: Path) -> None:
    script = "from flows.prefect_server import prefect_api\nwith prefect_api(200) as url: print(url)"
    home = tmp_path / ODD
    environment = os.environ | {"AURA_HOME": str(home), "PYTHONPATH": str(repo_root())}
    environment.pop("PREFECT_API_URL", None)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (home / "prefect" / "prefect.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [ODD]


_SERVICE = """
import bentoml

@bentoml.service
class Adder:
    @bentoml.api
    def add(self, x: int) -> int:
        return x + 1
"""


@pytest.mark.slow
def test_a_bento_is_built_and_answers_in_a_home_of_odd_letters_and_signs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURA_HOME", str(tmp_path / ODD))
    write_text(tmp_path / "source" / "odd_service.py", _SERVICE)
    environment = bento_environment() | {"PYTHONPATH": str(repo_root())}
    build = f"import bentoml; bentoml.bentos.build('odd_service:Adder', version='v1', build_ctx={str(tmp_path / 'source')!r})"
    subprocess.run([sys.executable, "-c", build], env=environment, cwd=tmp_path / "source", check=True)
    port, log = free_port(), tmp_path / "log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", "adder:v1", "--host", "127.0.0.1", "--port", str(port)],
            env=environment, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/readyz", server, log, 200)
        answer = httpx.post(f"http://127.0.0.1:{port}/add", json={"x": 1}, timeout=60, trust_env=False)
        assert (answer.status_code, answer.text) == (200, "2")
    finally:
        stop(server)
