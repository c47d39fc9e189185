"""The `curl` examples of the README, run against the services of a night: each is answered with what the README names."""

from __future__ import annotations

import json
import re
import subprocess

import pytest

from aura.paths import repo_root
from flows.services import SERVICES
from tests.e2e.conftest import Nights

pytestmark = pytest.mark.slow

_BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_EXAMPLE = re.compile(r"^(curl .*)\n(?:# answers: (.*)\n)?", re.MULTILINE)


def examples() -> list[tuple[str, str]]:
    """Each command on one line, with the names of what it answers; empty: it names nothing."""
    text = (repo_root() / "README.md").read_text(encoding="utf-8")
    blocks = [block.replace("\\\n", " ") for block in _BLOCK.findall(text)]
    return [found for block in blocks for found in _EXAMPLE.findall(block)]


def test_there_are_examples_of_every_service_that_answers() -> None:
    asked = {re.search(r"/api/v1/([\w-]+)/", command)[1] for command, _ in examples()}  # type: ignore[index]
    assert asked == {name.replace("_", "-") for name, service in SERVICES.items() if service.models}


@pytest.mark.parametrize(("command", "fields"), examples())
def test_an_example_answers_what_it_says(command: str, fields: str, urls: dict[str, str], nights: Nights) -> None:
    assert fields, f"write what it answers behind it: {command}"
    for name, url in urls.items():
        service = SERVICES[name]
        command = command.replace(f"localhost:{service.default_port}{service.path}", url)
    assert "localhost" not in command
    command = command.replace("var/", f"{nights.world.home}/")
    done = subprocess.run(
        ["bash", "-c", f"{command} --silent --show-error --noproxy '*' --write-out '\\n%{{http_code}}'"],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer, _, status = done.stdout.rpartition("\n")
    assert status == "200", answer
    assert set(fields.split(", ")) <= json.loads(answer).keys()
