"""Open a profile's working copy for a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aura.paths import profile_paths
from flows.profile import load_profile
from flows.workspace import Workspace


@contextmanager
def open_workspace(profile: str, overrides: list[str] | None = None) -> Iterator[Workspace]:
    """The working copy, locked and up to date with the profile."""
    workspace = find_workspace(profile, overrides)
    with workspace.lock.held():
        workspace.set_up()
        yield workspace


def find_workspace(profile: str, overrides: list[str] | None = None) -> Workspace:
    """The working copy for reading; nothing is made or locked."""
    settings = load_profile(profile, overrides or ())
    return Workspace(profile_paths(settings.profile), settings)
