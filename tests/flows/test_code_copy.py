"""A night runs from the code that it began with, whatever happens to the checkout in the meantime."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

from aura.git import git
from aura.paths import repo_root

_TOY = """
stages:
  prepare:
    cmd: >-
      python -c "import pathlib; import dataprep.splits; from aura.lineage import git_commit; from aura.paths import repo_root;
      from aura.fingerprints import code_fingerprint; p = pathlib.Path('data/toy'); p.mkdir(parents=True);
      (p / 'code').write_text(code_fingerprint(['dataprep.prepare'])); (p / 'commit').write_text(git_commit());
      (p / 'module').write_text(getattr(dataprep.splits, 'PULLED', 'as the night began'));
      (p / 'knowledge').write_text(str((repo_root() / 'data/knowledge/pulled.md').exists()))"
    outs:
      - data/toy
"""
_NIGHT = """
import sys
from pathlib import Path
from aura.paths import profile_paths, repo_root
from flows.profile import load_profile
from flows.stages import run_stage
from flows.workspace import Workspace

workspace = Workspace(profile_paths("sample"), load_profile("sample"), definition=Path(sys.argv[1]))
with workspace.lock.held():
    workspace.set_up()
    with (repo_root() / "dataprep" / "splits.py").open("a") as module:
        module.write("\\nPULLED = 'in mid-night'\\n")
    (repo_root() / "data" / "knowledge" / "pulled.md").write_text("new")
    run_stage(workspace, "prepare", timeout_seconds=200)
"""


def test_a_pull_during_a_night_changes_no_stage_of_it(tmp_path: Path, own_home: Path) -> None:
    checkout = tmp_path / "checkout"
    tracked = git(repo_root(), "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in tracked:
        if (repo_root() / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repo_root() / name, checkout / name)
    git(checkout, "init", "--quiet")
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--message", "as it began")
    commit = git(checkout, "rev-parse", "HEAD").strip()
    (tmp_path / "toy.yaml").write_text(_TOY, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_NIGHT), str(tmp_path / "toy.yaml")],
        env=os.environ | {"PYTHONPATH": str(checkout)}, cwd=checkout, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    working_copy = own_home / "pipelines" / "sample"
    seen = {path.name: path.read_text(encoding="utf-8") for path in (working_copy / "data" / "toy").iterdir()}
    assert seen["module"] == "as the night began"
    assert seen["knowledge"] == "False"
    assert seen["commit"] == commit
    before = subprocess.run(
        [sys.executable, "-c", "from aura.fingerprints import code_fingerprint; print(code_fingerprint(['dataprep.prepare']))"],
        env=os.environ | {"PYTHONPATH": str(repo_root())}, cwd=tmp_path, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert seen["code"] == before
