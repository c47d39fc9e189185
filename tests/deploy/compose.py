"""The compose files as docker-compose reads them, with an example `.env`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from aura.paths import repo_root

FILES = ("docker-compose.yml", "docker-compose.dev.yml", "docker-compose.gpu.yml")
EXAMPLE = repo_root() / ".env.example"
GIVEN = {"POSTGRES_PASSWORD": "p" * 12, "GRAFANA_PASSWORD": "g" * 12, "JWT_SECRET_KEY": "j" * 32}


def example_environment(**given: str) -> str:
    """`.env.example` with values where it has none."""
    text = EXAMPLE.read_text(encoding="utf-8")
    for name, value in given.items():
        text = re.sub(rf"^#?{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
    return text


def run_config(environment: str, *files: str) -> subprocess.CompletedProcess[str]:
    """Let docker-compose read some of the files in a folder of their own."""
    with TemporaryDirectory() as name:
        for file in FILES:
            shutil.copy(repo_root() / file, name)
        Path(name, ".env").write_text(environment, encoding="utf-8")
        named = [word for file in files for word in ("-f", file)]
        bare = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "LANG")}
        return subprocess.run(
            ["docker-compose", *named, "config"], cwd=name, env=bare, capture_output=True, text=True, timeout=120
        )


@cache
def composed(*files: str) -> dict[str, Any]:
    """What docker-compose makes of the files; without names, of docker-compose.yml."""
    done = run_config(example_environment(**GIVEN), *(files or FILES[:1]))
    assert done.returncode == 0, done.stderr
    made: dict[str, Any] = yaml.safe_load(done.stdout)
    return made
