"""Where things lie: the repository, and the home folder that everything local lives under.

`AURA_HOME` moves the home (default: `var/` in the repository, ignored by git).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


def repo_root() -> Path:
    """Folder that holds `configs/`, `data/` and `dvc.yaml` (in a Bento: the packed sources)."""
    return Path(__file__).resolve().parents[1]


def home() -> Path:
    """The home folder; not created here."""
    configured = os.environ.get("AURA_HOME")
    return Path(configured).expanduser().resolve() if configured else repo_root() / "var"


@dataclass(frozen=True, kw_only=True)
class ProfilePaths:
    """Folders of one profile; two profiles share none."""

    home: Path
    profile: str

    @property
    def workspace(self) -> Path:
        """Git and DVC working copy in which the pipeline runs and nights are recorded."""
        return self.home / "pipelines" / self.profile

    @property
    def index(self) -> Path:
        """LanceDB database with the knowledge and catalog tables."""
        return self.home / "index" / self.profile

    @property
    def reports(self) -> Path:
        return self.home / "reports" / self.profile

    @property
    def logs(self) -> Path:
        return self.home / "logs" / self.profile


def profile_paths(profile: str) -> ProfilePaths:
    return ProfilePaths(home=home(), profile=profile)


def cache_dir() -> Path:
    """Converted base models and other things that can be made again."""
    return home() / "cache"
