"""DVC's command line, in a process that reads no person's Git configuration.

    python -m flows.dvc_command push --quiet

DVC calls Git through three libraries. Two of them go by the environment (`aura.git.git_environment`); libgit2 does not, and
takes a setting per process.
"""

from __future__ import annotations

import os
import sys

import pygit2
from dvc.cli import main as dvc
from pygit2.enums import ConfigLevel


def isolate_libgit2() -> None:
    """Let libgit2 read no configuration but a repository's own, and open repositories of another account."""
    for level in (ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL):
        pygit2.settings.search_path[level] = os.devnull
    pygit2.settings.owner_validation = False


if __name__ == "__main__":
    isolate_libgit2()
    raise SystemExit(dvc(sys.argv[1:]))
