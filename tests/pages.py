"""The pages of `aura ui` in a real browser: Debian's chromium, without a window."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from aura.paths import repo_root

HANG_MS = 120_000
"""Milliseconds within which a page must show something. They bound a hang: a page shows it in two or three seconds."""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    """A fresh browser, as that of a person who opens the pages for the first time."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "the pages are tested in a real browser: apt-get install chromium"
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium)
        opened = browser.new_page(viewport={"width": 1500, "height": 1200})
        opened.set_default_timeout(HANG_MS)
        yield opened
        browser.close()


@contextmanager
def served_pages(home: Path, log: Path) -> Iterator[dict[str, str]]:
    """`aura ui` on a home folder: page to address."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AURA_", "PREFECT_"))}
    with log.open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli.app", "ui"], env=kept | {"AURA_HOME": str(home)}, cwd=repo_root(),
            stdout=stream, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 1200
        while "Ctrl+C stops them" not in log.read_text(encoding="utf-8"):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.5)
        yield addresses(log.read_text(encoding="utf-8"))
    finally:
        process.terminate()
        process.wait(timeout=120)


def addresses(output: str) -> dict[str, str]:
    """What `aura ui` printed: page to address."""
    return dict(re.findall(r"^(\w+): +(http\S+)$", output, re.MULTILINE))
