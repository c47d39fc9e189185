"""An import that is killed, interrupted or runs out of disk leaves the source as it was, and the next one succeeds.

One photo is a named pipe that nobody writes to: whoever opens it stands still half-way, for as long as the test needs.
"""

from __future__ import annotations

import os
import shutil
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from aura.artifact import content_hash
from aura.errors import BusyError, ForeignFolderError
from dataprep.importers.ccp import import_ccp
from dataprep.raw_source import read_manifest
from dataprep.settings import DataSettings
from tests.dataprep.originals import HEIGHT_PX, WIDTH_PX, WORN, write_ccp
from tests.dataprep.stage_process import running, wait_for
from tests.processes import command_of

SETTINGS = DataSettings.model_validate({"imports": {"workers": 1}})
TWO_READERS = DataSettings.model_validate({"imports": {"workers": 2}})


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return write_ccp(tmp_path / "original")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """An earlier import: three photos."""
    raw = tmp_path / "raw" / "ccp"
    import_ccp(write_ccp(tmp_path / "earlier", {f"{number:04d}": WORN for number in (1, 2, 3)}), raw, SETTINGS)
    return raw


@pytest.fixture
def stuck(original: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(original, tmp_path / "stuck"))
    (folder / "photos" / "0006.jpg").unlink()
    os.mkfifo(folder / "photos" / "0006.jpg")
    return folder


def half_way(raw: Path) -> Path:
    """The last picture that is written before the pipe."""
    return raw.with_name(".ccp.importing") / "detection" / "images" / "0005.jpg"


def readers_of(process: BaseProcess) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children()
    return [child for child in children if "resource_tracker" not in command_of(child)]


def assert_next_import_succeeds(original: Path, raw: Path) -> None:
    assert import_ccp(original, raw, SETTINGS).counts["images"] == 10
    assert read_manifest(raw).counts["images"] == 10
    assert not half_way(raw).parents[2].exists()


def test_a_killed_import_leaves_the_source_and_no_process(original: Path, raw: Path, stuck: Path) -> None:
    before = content_hash(raw)
    with running(import_ccp, stuck, raw, TWO_READERS) as process:
        wait_for(half_way(raw), process)
        with pytest.raises(BusyError, match="another import or preparation is using the source 'ccp'"):
            import_ccp(original, raw, SETTINGS)
        assert content_hash(raw) == before
        readers = readers_of(process)
        assert len(readers) == 2
        process.kill()
    assert content_hash(raw) == before
    assert read_manifest(raw).counts["images"] == 3
    _, alive = psutil.wait_procs(readers, timeout=30)
    for reader in alive:
        reader.kill()
    assert not alive
    assert_next_import_succeeds(original, raw)


def test_an_interrupted_import_cleans_up(original: Path, raw: Path, stuck: Path, tmp_path: Path) -> None:
    before = content_hash(raw)
    with running(import_ccp, stuck, raw, SETTINGS, errors=tmp_path / "errors") as process:
        wait_for(half_way(raw), process)
        assert process.pid
        os.kill(process.pid, signal.SIGINT)
        process.join(60)
        assert process.exitcode == 1
    assert "KeyboardInterrupt" in (tmp_path / "errors").read_text()
    assert content_hash(raw) == before
    assert not half_way(raw).exists()
    assert_next_import_succeeds(original, raw)


def test_a_killed_reader_ends_the_import_with_a_hint(original: Path, raw: Path, stuck: Path, tmp_path: Path) -> None:
    before = content_hash(raw)
    with running(import_ccp, stuck, raw, TWO_READERS, errors=tmp_path / "errors") as process:
        wait_for(half_way(raw), process)
        readers_of(process)[0].kill()
        process.join(60)
        assert process.exitcode == 1
    errors = (tmp_path / "errors").read_text()
    assert "aura.errors.DataError: a process that read photos was killed" in errors
    assert "data.imports.workers=1" in errors
    assert content_hash(raw) == before
    assert_next_import_succeeds(original, raw)


def test_a_full_disk_is_said_and_leaves_the_source(original: Path, raw: Path, tmp_path: Path) -> None:
    before = content_hash(raw)
    # The error stream is under the limit too; a photo is longer than the bar and the message.
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT_PX, WIDTH_PX, 3), dtype=np.uint8)
    Image.fromarray(noise).save(original / "photos" / "0004.jpg", quality=95)
    with running(import_ccp, original, raw, SETTINGS, errors=tmp_path / "errors", most_bytes=6000) as process:
        process.join(60)
        assert process.exitcode == 1
    assert f"aura.errors.DataError: cannot write below {raw.parent}" in (tmp_path / "errors").read_text()
    assert content_hash(raw) == before
    assert_next_import_succeeds(original, raw)


def test_a_crash_between_the_two_renames_is_repaired(original: Path, raw: Path) -> None:
    before = content_hash(raw)
    raw.rename(raw.with_name(".ccp.old"))
    assert read_manifest(raw).counts["images"] == 3
    assert content_hash(raw) == before
    assert_next_import_succeeds(original, raw)


def test_originals_that_lie_where_the_source_belongs_stay(original: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "own"
    shutil.copytree(original, raw)
    before = content_hash(raw)
    with pytest.raises(ForeignFolderError, match="own"):
        import_ccp(original, raw, SETTINGS)
    with pytest.raises(ForeignFolderError, match="own"):
        import_ccp(raw, raw, SETTINGS)
    assert content_hash(raw) == before
