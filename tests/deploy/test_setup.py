"""`make setup` on machines that are not as it wishes: another Python, an environment without pip, a lock that does not exist."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.specifiers import SpecifierSet

from aura.paths import repo_root


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["make", *arguments, f"PYTHON={sys.executable}"],
        cwd=repo_root(), capture_output=True, text=True, timeout=600,
    )  # fmt: skip


def test_a_python_that_no_lock_was_compiled_for_is_refused_in_words(tmp_path: Path) -> None:
    done = make("setup", "PYTHONS=3.9 3.10", f"AURA_VENV={tmp_path / 'venv'}")
    assert done.returncode == 2
    assert f"Aura runs on Python 3.9 3.10; {sys.executable} is 3.{sys.version_info.minor}" in done.stderr
    assert "make setup PYTHON=" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    done = subprocess.run(
        ["make", "setup", "PYTHON=python3-that-is-not-there", f"AURA_VENV={tmp_path / 'venv'}"],
        cwd=repo_root(), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 2
    assert "python3-that-is-not-there is not there" in done.stderr


def test_an_environment_that_another_python_made_is_refused_in_words(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=600)
    (venv / "bin" / "pip").touch()
    done = make("setup", "PYTHONS=3.9", f"AURA_VENV={venv}")
    assert done.returncode == 2
    assert f"{venv}/bin/python is 3.{sys.version_info.minor}" in done.stderr


def test_an_environment_that_was_left_without_pip_is_made_whole(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True, timeout=600)
    pip = [venv / "bin" / "python", "-m", "pip", "--version"]
    assert subprocess.run(pip, capture_output=True, timeout=600).returncode != 0
    done = make(f"{venv}/bin/pip", f"AURA_VENV={venv}", "NEEDS_GB=0")
    assert done.returncode == 0, done.stderr
    assert subprocess.run(pip, capture_output=True, timeout=600).returncode == 0


def test_a_disk_without_room_for_an_environment_is_told_before_anything_is_fetched(tmp_path: Path) -> None:
    done = make("setup", "NEEDS_GB=1000000", f"AURA_VENV={tmp_path / 'venv'}")
    assert done.returncode == 2
    assert re.search(rf"takes 1000000 GB, and the disk of {tmp_path / 'venv'} has \d+ GB free: make room", done.stderr)
    assert not list((tmp_path / "venv").iterdir())


def test_a_lock_that_does_not_exist_is_named_with_those_that_do() -> None:
    done = make("setup", "AURA_LOCK=gpu")
    assert done.returncode == 2
    assert "AURA_LOCK is cuda, cpu or serve, not gpu" in done.stderr


def test_readme_makefile_and_package_promise_the_same_pythons() -> None:
    makefile = (repo_root() / "Makefile").read_text(encoding="utf-8")
    promised = re.search(r"^PYTHONS := (.*)$", makefile, re.MULTILINE)[1].split()  # type: ignore[index]
    project = tomllib.loads((repo_root() / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    allowed = SpecifierSet(project["requires-python"])
    assert [python for python in (f"3.{minor}" for minor in range(30)) if allowed.contains(python)] == promised
    readme = (repo_root() / "README.md").read_text(encoding="utf-8")
    assert f"Python {', '.join(promised[:-1])} or {promised[-1]}" in readme
