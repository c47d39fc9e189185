"""What the documentation starts answers nobody but this machine, or asks who is calling."""

from __future__ import annotations

import re
import subprocess

from aura.paths import repo_root

_EVERY_INTERFACE = re.compile(r"\b0\.0\.0\.0\b|--host[= ]+(?!127\.0\.0\.1|localhost|::1|\$|\")\S+|\[?::\]?:\d+")
_CONTAINERS = re.compile(r"docker-compose[\w.]*\.yml|deploy/kubernetes/")
"""Every address of a container is one of its own networks; what is published is held by `test_compose` and `test_kubernetes`."""
_ASKS_WHO = ("--app-name basic-auth", "PREFECT_SERVER_API_AUTH_STRING", "AURA_AUTH=on")


def _commands() -> dict[str, str]:
    """Blocks of commands in pages, and whole units, by where they stand."""
    files = subprocess.run(
        ["git", "ls-files", "*.md", "*.service", "*.yml", "*.yaml", "*.conf", "Makefile"],
        cwd=repo_root(), capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    found = {}
    for file in (file for file in files if not _CONTAINERS.match(file)):
        text = (repo_root() / file).read_text(encoding="utf-8")
        blocks = re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) if file.endswith(".md") else [text]
        found |= {f"{file} #{number}": block for number, block in enumerate(blocks, 1)}
    return found


def test_no_server_is_open_to_the_network_without_authentication() -> None:
    commands = _commands()
    assert any("mlflow server" in block for block in commands.values()), "the page of the MLflow server has a command"
    assert not [
        where
        for where, block in commands.items()
        if _EVERY_INTERFACE.search(block) and not any(asks in block for asks in _ASKS_WHO)
    ]


def test_a_shared_mlflow_server_asks_who_is_calling() -> None:
    shared = [block for block in _commands().values() if "mlflow server" in block]
    assert all("--app-name basic-auth" in block for block in shared)


def test_what_makes_folders_by_hand_makes_them_for_one_account() -> None:
    for where, block in _commands().items():
        if re.search(r"^(?!\$ ).*mkdir -p var", block, re.MULTILINE):  # behind a prompt stands what was typed one day
            assert "umask 077" in block, where
