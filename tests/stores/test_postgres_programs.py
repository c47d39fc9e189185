"""PostgreSQL's programs: found, and copied for an account that cannot reach them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from aura.errors import StartError
from stores.postgres_programs import copied, program


def test_a_copy_runs_from_its_own_folder_and_every_account_may_run_it(tmp_path: Path) -> None:
    path = program("postgres")
    before = os.umask(0o077)
    try:
        copy = copied(path, tmp_path / "programs")
    finally:
        os.umask(before)
    assert copy.is_relative_to(tmp_path)
    said = [
        subprocess.run([each, "--version"], capture_output=True, text=True, check=True).stdout for each in (path, copy)
    ]
    assert said[0] == said[1]
    for folder in (tmp_path / "programs", *(tmp_path / "programs").rglob("*")):
        assert folder.stat().st_mode & 0o005 or not folder.is_dir(), folder
    assert copied(path, tmp_path / "programs") == copy, "it is there already"


def test_a_program_of_a_version_that_is_not_here_is_an_error() -> None:
    with pytest.raises(StartError, match="of version 7 is not on this machine"):
        program("postgres", 7)
