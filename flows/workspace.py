"""The pipeline's working copy: a Git and DVC repository per profile under the home folder.

Stages run here and every night is committed and tagged here, so a night leaves the project's own checkout untouched while
`dvc.lock` keeps a history: `dvc checkout` at a night's tag brings its data and models back. The stages themselves are
defined once, in the project's `dvc.yaml`, which is copied here before each run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import filelock
import yaml

from aura.artifact import content_hash, read_json, write_json, write_text
from aura.errors import ArtifactError, BusyError, DataError
from aura.lineage import code_hash, file_tree_hash, value_hash
from aura.paths import ProfilePaths, repo_root
from aura.supervision import ENDED_AFTER_SECONDS, RUN_PID, watched
from flows.bento_contents import FILES
from flows.profile import Profile
from training.models import MODELS, model_sources

CODE: dict[str, tuple[str, ...]] = {
    "prepare": (
        "training/data",
        "aura/taxonomy.py",
        "inference/retrieval/chunks.py",
        "inference/retrieval/judge.py",
    ),
    "index": ("inference/retrieval", "inference/text_embedding.py", "aura/pictures.py", "aura/taxonomy.py"),
    "package": (
        "bentos",
        "inference",
        "aura",
        "flows/package.py",
        "flows/bento_contents.py",
        "flows/recorded_answers.py",
        "flows/service_smoke_test.py",
        "flows/services.py",
    ),
    "evaluate": ("training/evaluate.py", "training/context.py", "inference/smoke_test.py"),
} | {model: model_sources(model) for model in MODELS}

_PROBE_SECONDS = 1.0
"""`running` takes the lock for a moment to see whether it is free; a night that begins just then must not give up."""

# Written by every run and of no use to a later one.
_GITIGNORE = "/champions/\n/checkpoints/\n/logs/\n/.*.building/\n/.*.old/\n/run.lock\n"


class Workspace:
    """Working copy of one profile."""

    def __init__(self, paths: ProfilePaths, profile: Profile, definition: Path | None = None) -> None:
        self.paths, self.profile = paths, profile
        self.folder = paths.workspace
        self.definition = definition or repo_root() / "dvc.yaml"

    @contextmanager
    def locked(self, run_id: str = "") -> Iterator[str]:
        """Hold the working copy: one run at a time on this machine. The system frees it when the process dies.

        Args:
            run_id: name of this run for whoever finds that it died.

        Yields:
            `run_id` of the run that held it before and died; empty when the last one ended in order.

        Raises:
            BusyError: another run holds it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.folder / "run.lock")
        holder = self.folder / ".holder.json"
        try:
            lock.acquire(timeout=_PROBE_SECONDS)
        except filelock.Timeout:
            pid = read_json(holder, "the note of the running night")["pid"] if holder.is_file() else "unknown"
            raise BusyError(
                f"another run of profile {self.profile.profile!r} is under way (process {pid})",
                hint="wait for it (`aura status`), or use another profile or AURA_HOME",
            ) from None
        try:
            died = ""
            if holder.is_file():
                died = read_json(holder, "the note of the run that died").get("run_id", "")
                time.sleep(ENDED_AFTER_SECONDS)  # a DVC or a stage of that run may not have noticed yet
            write_json(holder, {"pid": os.getpid(), "run_id": run_id})
            yield died
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def running(self) -> int | None:
        """Process id of the run under way on this machine, or None."""
        if not (self.folder / "run.lock").is_file():
            return None
        lock = filelock.FileLock(self.folder / "run.lock")
        try:
            with lock.acquire(timeout=0):
                return None
        except filelock.Timeout:
            with suppress(ArtifactError):
                return int(read_json(self.folder / ".holder.json", "the note of the running night")["pid"])
            return None  # it begins or ends in this very moment

    def set_up(self) -> None:
        """Make or refresh the working copy; call it under the lock."""
        self.git("init", "--quiet", "--initial-branch=nights")  # repairs one that was cut off, too
        if not (self.folder / ".dvc" / "config").is_file():
            shutil.rmtree(self.folder / ".dvc", ignore_errors=True)
            self.dvc("init", "--quiet", "--force")
        # Left by a run that was killed: its lock is ours, and whatever it started ends with it.
        for stale in ("rwlock", "rwlock.lock", "lock"):
            (self.folder / ".dvc" / "tmp" / stale).unlink(missing_ok=True)
        for stale_lock in (self.folder / ".git").rglob("*.lock"):
            stale_lock.unlink()
        remote = self.profile.night.remote or str(self.paths.home / "dvc" / "remote")
        if "://" not in remote:
            Path(remote).mkdir(parents=True, exist_ok=True)
        write_text(
            self.folder / ".dvc" / "config",
            f"[core]\n    remote = store\n    analytics = false\n    check_update = false\n"
            f"['remote \"store\"']\n    url = {remote}\n[cache]\n    dir = {self.paths.home / 'dvc' / 'cache'}\n",
        )
        write_text(self.folder / ".gitignore", _GITIGNORE + "/.holder.json\n")
        write_text(self.folder / "dvc.yaml", self.definition.read_text(encoding="utf-8"))
        write_text(self.folder / "params.yaml", yaml.safe_dump(self.params(), sort_keys=True, allow_unicode=True))

    def params(self) -> dict[str, Any]:
        """The resolved profile plus fingerprints of what lies outside the working copy: code, raw data, knowledge."""
        values = self.profile.model_dump(mode="json")
        sources = {}
        for source in self.profile.data.sources:
            note = self.paths.home / "raw" / source / "source.json"
            sources[source] = file_tree_hash(note.parent, "source.json") if note.is_file() else ""
        if "sample" in sources:
            sources["sample"] = "drawn"  # its content is decided by the settings and the code alone
        values["inputs"] = {
            "code": {name: code_hash(parts) for name, parts in CODE.items()},
            "packing": value_hash([content_hash(repo_root() / file) for file in FILES]),
            "knowledge": file_tree_hash(repo_root() / "data" / "knowledge"),
            "raw": sources,
        }
        return values

    def environment(self) -> dict[str, str]:
        """Environment of a stage: this interpreter first, and the process to die with.

        Settings from the environment are left out: params.yaml has them, unless `--set` had the last word. So are git's
        variables: a run inside a git hook would otherwise commit to the repository of that hook.
        """
        kept = {
            name: value
            for name, value in os.environ.items()
            if not (name.startswith("AURA_") and "__" in name) and not name.startswith("GIT_")
        }
        return kept | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(repo_root()), os.environ.get("PYTHONPATH", "")])),
            "AURA_HOME": str(self.paths.home),
            "AURA_PROFILE": self.profile.profile,
            "PYTHONUNBUFFERED": "1",
            RUN_PID: str(os.getpid()),
        }

    def dvc(self, *arguments: str) -> str:
        """Run a DVC command to its end and return its output."""
        return self._run(watched("dvc", *arguments))

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=aura", "-c", "user.email=aura@localhost", "-c", "commit.gpgsign=false"]
        return self._run(["git", *identity, *arguments])

    def _run(self, command: list[str]) -> str:
        limit = self.profile.night.stage_timeout_minutes * 60
        try:
            done = subprocess.run(
                command, cwd=self.folder, env=self.environment(), capture_output=True, text=True, timeout=limit
            )
        except subprocess.TimeoutExpired as error:
            raise DataError(
                f"`{' '.join(command[-4:])}` did not end within {limit / 60:.0f} minutes in {self.folder}",
                hint="see whether the DVC remote answers, or raise night.stage_timeout_minutes",
            ) from error
        if done.returncode:
            raise DataError(
                f"`{' '.join(command[-4:])}` failed in {self.folder}:\n{(done.stderr or done.stdout).strip()[-2000:]}",
                hint="repair that folder with git and dvc, or move it aside: the next run makes a new one, without the "
                "history of nights, which is in its .git",
            )
        return done.stdout
