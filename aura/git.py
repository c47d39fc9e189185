"""Git as a tool, under a configuration of its own.

Signing, hooks, templates and line endings that a person or an administrator has configured are for people: in a night they ask
for a passphrase that nobody types, or refuse a commit. So Git reads `aura/gitconfig` and nothing else, asks nobody anything
and has little time. The environment holds all of it, because DVC calls Git too.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from aura.errors import GitError

_CONFIG = Path(__file__).with_name("gitconfig")
_SECONDS = 120.0
"""Every command here works on text files of this machine, and takes milliseconds."""


def git_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a process that calls Git.

    Variables of Git itself are left out: inside a Git hook they name the repository of that hook.
    """
    environ = os.environ if environ is None else environ
    return {name: value for name, value in environ.items() if not name.startswith("GIT_")} | {
        # As the global file it reaches the second process of a clone; as a parameter it goes before a repository's own file.
        "GIT_CONFIG_GLOBAL": str(_CONFIG),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "include.path",
        "GIT_CONFIG_VALUE_0": str(_CONFIG),
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def git(folder: Path, *arguments: str, seconds: float = _SECONDS) -> str:
    """Run a Git command in a folder and return its output.

    Raises:
        GitError: Git is not installed, refused the command, or did not end within `seconds`.
    """
    command = f"`git {' '.join(arguments[:3])}`"
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, env=git_environment(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=seconds,
        )  # fmt: skip
    except FileNotFoundError as error:
        if not folder.is_dir():
            raise GitError(f"{command} cannot run: there is no folder {folder}") from error
        raise GitError(
            "git is not installed, or is not on the PATH", hint="install it (Debian: apt install git) and start again"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise GitError(
            f"{command} did not end within {seconds:.0f} seconds in {folder}",
            hint="see whether the disk answers and whether another git command is running there",
        ) from error
    if done.returncode:
        raise GitError(
            f"{command} failed in {folder}:\n{(done.stderr or done.stdout).strip()[-2000:]}",
            hint="repair that folder with git, or move it aside: the next run makes a new one, without the history of "
            "nights, which is in its .git",
        )
    return done.stdout
