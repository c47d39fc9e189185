"""`docs/people.py`: a person signs up, leaves what is hers, and reads it back, through the generated client."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aura.paths import repo_root
from flows.api_client import generate
from flows.service_smoke_test import drawn_photo

pytestmark = pytest.mark.slow

_NAMES = {
    "accounts": "accounts",
    "visual": "visual_analysis",
    "outfits": "outfit_recommendation",
    "chat": "conversational_ai",
}


def test_what_a_person_leaves_is_read_back(urls: dict[str, str], tmp_path: Path) -> None:
    client, photo = generate(tmp_path / "client"), tmp_path / "photo.jpg"
    photo.write_bytes(drawn_photo())
    addresses = {f"AURA_{name.upper()}_URL": urls[service].partition("/api/")[0] for name, service in _NAMES.items()}

    def run(*arguments: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "docs/people.py", "--photo", str(photo), "--threshold", "0.05", *arguments],
            env=os.environ | addresses | {"PYTHONPATH": str(client)},
            cwd=repo_root(), capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    first, again = run(), run("--again")
    assert first.pop(0).startswith("in the photo: ")
    first.remove("stored by the chat: True")
    assert again == first, "wardrobe, outfits, conversation and rating are those of before"
    assert any(line.startswith("outfit ") for line in again)
    assert again[-1] == "rated: answer up"
