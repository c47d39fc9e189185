"""A folder that a process reads is not removed; every other one goes as a whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from aura import in_use
from aura.in_use import finish_removal, holding, remove_unless_in_use


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "copy"
    made.mkdir()
    (made / "picture").write_text("pixels", encoding="utf-8")
    return made


def test_a_folder_stays_while_a_process_holds_it_however_that_process_ends(folder: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", f"import time, pathlib; from aura.in_use import holding; "
         f"held = holding(pathlib.Path({str(folder)!r})); print(held.__enter__(), flush=True); time.sleep(600)"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline().strip() == "True"
        assert not remove_unless_in_use(folder)
        assert (folder / "picture").is_file()
    finally:
        holder.kill()
        holder.wait()
    assert remove_unless_in_use(folder)
    assert not list(folder.parent.iterdir())


def test_what_is_gone_cannot_be_held_and_its_removal_can_be_repeated(folder: Path) -> None:
    assert remove_unless_in_use(folder)
    with holding(folder) as held:
        assert not held
    assert remove_unless_in_use(folder)


def test_a_removal_that_was_killed_leaves_no_part_under_the_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class KilledError(Exception):
        pass

    def killed(_: Path) -> None:
        raise KilledError

    monkeypatch.setattr(in_use.shutil, "rmtree", killed)
    with pytest.raises(KilledError):
        remove_unless_in_use(folder)
    assert not folder.exists()
    monkeypatch.undo()
    finish_removal(folder)
    assert not list(folder.parent.iterdir())
