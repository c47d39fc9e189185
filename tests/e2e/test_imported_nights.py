"""A night on a set in COCO format as each of three tools writes it: from the command of the import to the champions."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.dataprep.coco_originals import write_deepfashion2, write_fashionpedia, write_foreign
from tests.e2e.conftest import World
from tests.inference.chat.tiny_base import save_tiny_base
from tests.small_night import SMALL

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(3000)]

_PHOTOS = 60


@pytest.fixture
def own(tmp_path: Path) -> World:
    base = save_tiny_base(tmp_path / "base")
    return World(
        tmp_path / "home", (*SMALL, "detection.max_epochs=4", f"chat.base={base}", "data.imports.min_outfit_items=2")
    )


def _night_is_good(own: World) -> None:
    night = own.aura("nightly", "--profile", "photos")
    output = night.stdout + night.stderr
    assert night.returncode == 0, output
    for model in ("detection", "outfits", "chat"):
        assert f"{model}: first champion" in output


@pytest.mark.parametrize("write", [write_fashionpedia, write_deepfashion2])
def test_a_known_set_needs_two_commands(write: Callable[..., tuple[Path, Path]], own: World, tmp_path: Path) -> None:
    imported = own.aura(
        "data", "import", "coco", *map(str, write(tmp_path / "set", photos=_PHOTOS)), "--profile", "photos"
    )
    assert imported.returncode == 0, imported.stdout + imported.stderr
    _night_is_good(own)


def test_a_foreign_set_needs_a_map_and_nothing_is_trained_before(own: World, tmp_path: Path) -> None:
    files = [str(path) for path in write_foreign(tmp_path / "set", photos=_PHOTOS)]
    refused = own.aura("data", "import", "coco", *files, "--profile", "photos")
    assert refused.returncode == 2
    (proposal,) = (own.home / "category-maps").iterdir()
    assert str(proposal) in re.sub(r"\s", "", refused.stderr)
    without = own.aura("nightly", "--profile", "photos")
    assert without.returncode == 1
    assert "not tried: prepare failed" in without.stdout + without.stderr

    decided = (
        proposal.read_text().replace("person: decide", "person: null").replace("sarong: decide", "sarong: bottoms")
    )
    proposal.write_text(decided)
    imported = own.aura("data", "import", "coco", *files, "--map", str(proposal), "--profile", "photos")
    assert imported.returncode == 0, imported.stdout + imported.stderr
    _night_is_good(own)
