"""The code of a run: a copy of the checkout's sources, made when the run begins, from which its stages run.

A night takes hours, and every stage of it is a process that reads its code anew. A `git pull` in between would give later
stages other code than the flow, the earlier stages and the recorded fingerprints.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from aura.artifact import write_text
from aura.fingerprints import PACKAGES
from aura.lineage import COMMIT_FILE, git_commit
from aura.paths import repo_root
from flows import bento_contents

_FOLDERS = (*PACKAGES, "configs", "data")
_FILES = ("dvc.yaml", *bento_contents.FILES)


def copy_code(target: Path) -> Path:
    """Make `target` a copy of what stages read of the checkout: packages, profiles, knowledge, and what goes into a Bento.

    The caller holds the profile's lock: no other run uses the copy.
    """
    building = target.with_name(f".{target.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    commit = git_commit()
    for folder in _FOLDERS:
        shutil.copytree(repo_root() / folder, building / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in _FILES:
        shutil.copy2(repo_root() / file, building / file)
    write_text(building / COMMIT_FILE, commit)
    shutil.rmtree(target, ignore_errors=True)
    building.rename(target)
    return target
