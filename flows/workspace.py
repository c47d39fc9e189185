"""The pipeline's working copy: a Git and DVC repository per profile under the home folder.

Stages run here and every night is committed and tagged here, so a night leaves the project's own checkout untouched while
`dvc.lock` keeps a history: `dvc checkout` at a night's tag brings its data and models back. The stages themselves are
defined once, in the project's `dvc.yaml`, which is copied here before each run.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from configobj import ConfigObj, ConfigObjError

from aura.artifact import write_text
from aura.errors import DataError, SettingsError, SnapshotStoreUnavailableError
from aura.git import git, git_environment
from aura.paths import ProfilePaths, repo_root
from aura.prepared_rows import write_rows
from aura.supervision import RUN_PID, watched
from flows.code_copy import copy_code
from flows.fingerprints import inputs
from flows.profile import Profile
from flows.run_lock import HOLDER, LOCK, RunLock

FEEDBACK = "feedback/feedback.jsonl"
"""What people said of answers, as nights have taken it; in no commit and no snapshot, so that what is deleted is gone."""
SAVED_OUTFITS = "feedback/outfits"
"""Outfits of theirs while they are trained on (`flows.saved_outfits`); without a row at all other times."""
MAINTENANCE = "maintenance"
"""Folder of the lock of a maintenance."""

# Written by every run, useless to later runs; and what people said.
_GITIGNORE = (
    f"/champions/\n/feedback/\n/{MAINTENANCE}/\n/checkpoints/\n/logs/\n/.*.building/\n/.*.old/\n"
    f"/{LOCK}\n/{HOLDER}\n/.removing.json\n"
)

_DVC_CONFIG = "[core]\n    remote = store\n    analytics = false\n    check_update = false\n"

logger = logging.getLogger(__name__)


class Workspace:
    """Working copy of one profile."""

    def __init__(self, paths: ProfilePaths, profile: Profile, definition: Path | None = None) -> None:
        self.paths, self.profile = paths, profile
        self.folder = paths.workspace
        self.definition = definition or repo_root() / "dvc.yaml"
        self._code = repo_root()

    @property
    def index(self) -> str:
        """Folder or URI of the index."""
        return self.profile.index.address(self.paths)

    @property
    def lock(self) -> RunLock:
        """Hold it for everything but reading."""
        return RunLock(self.folder, self.profile.profile)

    @property
    def maintenance_lock(self) -> RunLock:
        """Held by a maintenance from its begin to its end; the greater part of it may run beside a night."""
        return RunLock(self.folder / MAINTENANCE, f"{self.profile.profile}, maintenance")

    def set_up(self) -> None:
        """Make or refresh the working copy, and fix the code that stages run from now on; call it under the lock."""
        self._code = copy_code(self.paths.home / "code" / self.profile.profile)
        self.git("init", "--quiet", "--initial-branch=nights")  # also repairs an interrupted init
        if not (self.folder / ".dvc" / "config").is_file():
            shutil.rmtree(self.folder / ".dvc", ignore_errors=True)
            self.dvc("init", "--quiet", "--force")
        # Left by a killed run: this run holds the run lock, and the processes of the killed run have ended.
        for stale in ("rwlock", "rwlock.lock", "lock"):
            (self.folder / ".dvc" / "tmp" / stale).unlink(missing_ok=True)
        for stale_lock in (self.folder / ".git").rglob("*.lock"):
            stale_lock.unlink()
        remote = self.profile.night.remote or str(self.paths.home / "dvc" / "remote")
        if "://" not in remote:
            Path(remote).mkdir(parents=True, exist_ok=True)
        write_text(self.folder / ".dvc" / "config", _DVC_CONFIG)
        self.use_stores(self.folder)
        self._mend_dvc_lock()
        write_text(self.folder / ".gitignore", _GITIGNORE)
        self.clear_saved_outfits()  # a killed run may have left some
        write_text(self.folder / "dvc.yaml", self.definition.read_text(encoding="utf-8"))
        write_text(self.folder / "params.yaml", yaml.safe_dump(self.params(), sort_keys=True, allow_unicode=True))

    def clear_saved_outfits(self) -> None:
        """Leave tables without a row: DVC asks for the folder, whether or not anybody has saved anything."""
        shutil.rmtree(self.folder / SAVED_OUTFITS, ignore_errors=True)
        for name in ("items.jsonl", "outfits.jsonl"):
            write_rows(self.folder / SAVED_OUTFITS / name, ())

    def use_stores(self, repository: Path) -> None:
        """Write where the cache and the remote lie into a DVC repository's `config.local`, which is in no commit.

        Places in the home are relative, so that they stay right when the home is moved together with the repository.
        """
        folder = repository / ".dvc"

        def place(path: Path) -> str:
            inside = repository.resolve().is_relative_to(self.paths.home.resolve())
            return os.path.relpath(path, folder) if inside else str(path)

        stores = self.paths.home / "dvc"
        values = {
            "cache": {"dir": place(stores / "cache")},
            'remote "store"': {"url": self.profile.night.remote or place(stores / "remote")},
        }
        # DVC's own reader of this file: it quotes what would be a comment or a list.
        try:
            lines = ConfigObj(values).write()
            unreadable = ConfigObj(lines).dict() != values
        except ConfigObjError:
            unreadable = True
        if unreadable:
            raise SettingsError(
                "DVC's configuration cannot hold one of these places: "
                + ", ".join(str(value) for section in values.values() for value in section.values()),
                hint="rename it, or set AURA_HOME or night.remote to another",
            )
        write_text(folder / "config.local", "\n".join(lines) + "\n")

    def _mend_dvc_lock(self) -> None:
        """Take the recorded `dvc.lock` where the present one is cut off: DVC does not write it atomically."""
        file = self.folder / "dvc.lock"
        if not file.is_file():
            return
        with suppress(yaml.YAMLError, UnicodeDecodeError, AttributeError, KeyError, TypeError):
            stages = yaml.safe_load(file.read_text(encoding="utf-8"))["stages"]
            if all(stage["cmd"] for stage in stages.values()):
                return  # a stage whose end is cut off only runs again
        aside = file.with_name("dvc.lock.damaged")
        file.replace(aside)
        logger.warning("dvc.lock was damaged, and is now %s; the last recorded one takes its place", aside)
        with suppress(DataError):  # no night is recorded: every stage runs again
            self.git("checkout", "--quiet", "HEAD", "--", "dvc.lock")

    def params(self) -> dict[str, Any]:
        """The resolved profile plus fingerprints of what lies outside the working copy: code, raw data, knowledge, weights."""
        values = self.profile.model_dump(mode="json")
        values["inputs"] = inputs(values, self.paths.home / "raw")
        return values

    def environment(self) -> dict[str, str]:
        """Environment of a stage: this interpreter first on the path, and the id of the run with which the stage ends.

        Settings in the environment are left out, because `params.yaml` has the resolved ones.
        """
        kept = {name: value for name, value in os.environ.items() if not (name.startswith("AURA_") and "__" in name)}
        return git_environment(kept) | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(self._code), os.environ.get("PYTHONPATH", "")])),
            "AURA_HOME": str(self.paths.home),
            "AURA_PROFILE": self.profile.profile,
            "PYTHONUNBUFFERED": "1",
            # Stages run side by side: a thread that waits for another must not do so on a core that the other stage could use.
            "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY", "passive"),
            RUN_PID: str(os.getpid()),
        }

    def dvc(self, *arguments: str) -> str:
        """Run a DVC command to its end and return its output.

        Raises:
            SnapshotStoreUnavailableError: the command reaches the remote and failed, or took too long.
            DataError: another command failed.
        """
        limit = self.profile.night.stage_timeout_minutes * 60
        command = f"`dvc {' '.join(arguments[-4:])}`"
        try:
            done = subprocess.run(
                watched("flows.dvc_command", *arguments), cwd=self.folder, env=self.environment(), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, errors="replace", timeout=limit,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise SnapshotStoreUnavailableError(
                f"{command} did not end within {limit / 60:.0f} minutes in {self.folder}",
                hint="see whether the DVC remote answers, or raise night.stage_timeout_minutes",
            ) from error
        if done.returncode:
            # A remote has a dozen ways to be away, and DVC tells all of them in words.
            reaches_remote = any(word in arguments for word in ("push", "pull", "gc"))
            kind = SnapshotStoreUnavailableError if reaches_remote else DataError
            raise kind(
                f"{command} failed in {self.folder}:\n{(done.stderr or done.stdout).strip()[-2000:]}",
                hint="repair that folder with git and dvc, or move it aside: the next run makes a new one, without the "
                "history of nights, which is in its .git",
            )
        return done.stdout

    def git(self, *arguments: str) -> str:
        """Run a Git command in the working copy; raises as `aura.git.git` does."""
        return git(self.folder, *arguments)
