"""A night under a person's own Git configuration: what is meant for people neither stops it nor changes what it records."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from aura.errors import DataError, GitError
from aura.git import git
from aura.lineage import git_commit
from aura.paths import profile_paths, repo_root
from flows.profile import load_profile
from flows.snapshots import nights, record, restore
from flows.stages import run_stage
from flows.workspace import Workspace

_TOY = """
stages:
  prepare:
    cmd: python -c "import pathlib; p = pathlib.Path('data/toy'); p.mkdir(parents=True); (p / 'rows').write_text('1')"
    outs:
      - data/toy
"""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def signs(home: Path) -> str:
    """Signs commits and tags with a key whose passphrase nobody types."""
    program = script(home / "gpg", "exit 2")
    return f"[commit]\n gpgSign = true\n[tag]\n gpgSign = true\n[gpg]\n program = {program}\n"


def hooks(home: Path) -> str:
    """Hooks for every repository, as linters and issue trackers install them."""
    for name in ("pre-commit", "commit-msg", "post-checkout", "reference-transaction"):
        script(home / "hooks" / name, "exit 1")
    return f"[core]\n hooksPath = {home / 'hooks'}\n"


def template(home: Path) -> str:
    """A template that new repositories are made from, with a hook and a configuration of its own."""
    script(home / "template" / "hooks" / "pre-commit", "exit 1")
    (home / "template" / "config").write_text(signs(home), encoding="utf-8")
    return f"[init]\n templateDir = {home / 'template'}\n"


def line_endings(_: Path) -> str:
    return "[core]\n autocrlf = input\n safecrlf = true\n"


def filters(home: Path) -> str:
    (home / "attributes").write_text("* filter=company\n", encoding="utf-8")
    return f'[core]\n attributesFile = {home / "attributes"}\n[filter "company"]\n clean = false\n required = true\n'


def broken(_: Path) -> str:
    return "[core\n"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    definition = tmp_path / "toy.yaml"
    definition.write_text(_TOY, encoding="utf-8")
    return Workspace(profile_paths("sample"), load_profile("sample"), definition=definition)


def record_and_restore(workspace: Workspace, tmp_path: Path) -> None:
    with workspace.lock.held():
        workspace.set_up()
        (workspace.folder / "metrics").mkdir(exist_ok=True)
        (workspace.folder / "metrics" / "toy.json").write_bytes(b"{}\r\n")
        run_stage(workspace, "prepare", timeout_seconds=120, say=lambda _: None)
        assert record(workspace, "night-20260101-020000") == "night-20260101-020000"
        assert [night.tag for night in nights(workspace)] == ["night-20260101-020000"]
        copy = restore(workspace, "night-20260101-020000", tmp_path / "copy")
    assert (copy / "data" / "toy" / "rows").read_text(encoding="utf-8") == "1"
    assert (copy / "metrics" / "toy.json").read_bytes() == b"{}\r\n"


@pytest.mark.parametrize("configured", [signs, hooks, template, line_endings, filters, broken])
def test_a_night_is_recorded_whatever_a_person_has_configured(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: Callable[[Path], str]
) -> None:
    person = tmp_path / "person"
    person.mkdir()
    (person / ".gitconfig").write_text(configured(person), encoding="utf-8")
    monkeypatch.setenv("HOME", str(person))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    record_and_restore(workspace, tmp_path)


def test_a_working_copy_that_was_made_under_such_a_template_goes_on(workspace: Workspace, tmp_path: Path) -> None:
    workspace.folder.mkdir(parents=True)
    subprocess.run(["git", "init", "--quiet", str(workspace.folder)], check=True)
    with (workspace.folder / ".git" / "config").open("a", encoding="utf-8") as config:
        config.write(signs(tmp_path) + hooks(tmp_path))
    record_and_restore(workspace, tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_working_copy_and_a_checkout_of_another_account_are_used(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that mounts them: Git itself speaks of dubious ownership."""
    workspace.folder.mkdir(parents=True)
    git(workspace.folder, "init", "--quiet")
    os.chown(workspace.folder, 1234, 1234)
    os.chown(workspace.folder / ".git", 1234, 1234)
    bare = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    refused = subprocess.run(
        ["git", "status"], cwd=workspace.folder, env=bare, capture_output=True, text=True, timeout=100
    )
    assert "dubious ownership" in refused.stderr, "the case that is meant"
    record_and_restore(workspace, tmp_path)
    monkeypatch.setattr("aura.lineage.repo_root", lambda: workspace.folder)
    assert len(git_commit().removesuffix("-dirty")) == 40


def test_a_command_that_hangs_is_ended_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "bin" / "git", "exec sleep 60")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(GitError, match="`git status` did not end within 1 seconds"):
        git(tmp_path, "status", seconds=1)


def test_a_machine_without_git_is_told_what_to_install(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with workspace.lock.held(), pytest.raises(DataError, match="git is not installed") as caught:
        workspace.set_up()
    assert "apt install git" in caught.value.hint
    assert git_commit() == "unknown"


def test_nobody_else_calls_git() -> None:
    """A call past `aura.git` is one under somebody's configuration."""
    calling = [
        path.relative_to(repo_root()).as_posix()
        for package in ("aura", "dataprep", "inference", "training", "stores", "flows", "bentos")
        for path in sorted((repo_root() / package).rglob("*.py"))
        if '["git"' in path.read_text(encoding="utf-8")
    ]
    assert calling == ["aura/git.py"]
