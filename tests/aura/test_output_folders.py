"""A folder is replaced only when it is empty or carries the mark of the same kind of output."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura.artifact import content_hash
from aura.errors import ForeignFolderError, SettingsError
from aura.output_folders import (
    CHECKPOINTS,
    MODEL,
    PLOTS,
    PREPARED_DATA,
    RAW_SOURCE,
    Mark,
    fresh_folder,
    refuse_foreign,
    refuse_overlap,
    replace_output,
)

MARKS = {mark.what: mark for mark in (PREPARED_DATA, MODEL, RAW_SOURCE, PLOTS, CHECKPOINTS)}


def made_by_aura(folder: Path, mark: Mark, content: str = "old") -> Path:
    folder.mkdir(parents=True)
    mark.put_on(folder)
    (folder / "content").write_text(content)
    return folder


@pytest.mark.parametrize("what", MARKS)
def test_a_folder_of_the_same_kind_is_replaced(what: str, tmp_path: Path) -> None:
    target = made_by_aura(tmp_path / "out", MARKS[what])
    replace_output(made_by_aura(tmp_path / "new", MARKS[what], "new"), target, MARKS[what])
    assert (target / "content").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("what", MARKS)
def test_a_folder_of_another_kind_is_not(what: str, tmp_path: Path) -> None:
    for other in MARKS.values():
        target = made_by_aura(tmp_path / other.file, other)
        if other is not MARKS[what]:
            with pytest.raises(ForeignFolderError, match=r"would delete what Aura did not make"):
                refuse_foreign({target: MARKS[what]})


def test_what_a_person_keeps_stays_and_all_of_it_is_named(tmp_path: Path) -> None:
    photos, notes = tmp_path / "photos", tmp_path / "notes"
    for folder in (photos, notes):
        folder.mkdir()
        (folder / "mine.txt").write_text("years of work")
    (notes / "card.md").write_text("# My cards\n")
    before = content_hash(tmp_path)
    with pytest.raises(ForeignFolderError) as caught:
        refuse_foreign({photos: MODEL, notes: PREPARED_DATA})
    assert str(photos) in caught.value.message
    assert str(notes) in caught.value.message
    assert "move this one away" in caught.value.hint
    with pytest.raises(ForeignFolderError):
        fresh_folder(photos, PLOTS)
    finished = made_by_aura(tmp_path / "finished", MODEL)
    with pytest.raises(ForeignFolderError):
        replace_output(finished, photos, MODEL)
    (finished / MODEL.file).unlink()
    with pytest.raises(ValueError, match=r"no lineage\.json"):
        replace_output(finished, tmp_path / "new", MODEL)
    for path in (finished / "content", finished):
        path.unlink() if path.is_file() else path.rmdir()
    assert content_hash(tmp_path) == before


def test_nothing_is_lost_with_an_empty_folder_or_the_file_that_dvc_leaves(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    refuse_foreign({folder: PREPARED_DATA})
    folder.mkdir()
    refuse_foreign({folder: PREPARED_DATA})
    (folder / ".gitignore").write_text("/detection\n")
    refuse_foreign({folder: PREPARED_DATA})
    (folder / ".hidden").touch()
    with pytest.raises(ForeignFolderError):
        refuse_foreign({folder: PREPARED_DATA})


def test_files_and_links_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    elsewhere = made_by_aura(tmp_path / "elsewhere", MODEL)
    (tmp_path / "link").symlink_to(elsewhere)
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link", "broken"):
        with pytest.raises(ForeignFolderError, match=name):
            refuse_foreign({tmp_path / name: MODEL})


def test_an_output_may_not_take_another_or_an_input_with_it(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    refuse_overlap({"--out": out, "--pictures": tmp_path / "plots"}, {"--data": data})
    refuse_overlap({"--out": data / "model"}, {"--data": data})
    with pytest.raises(SettingsError) as caught:
        refuse_overlap({"--out": out, "--pictures": out}, {"--data": out / "deeper" / "data", "--base": tmp_path})
    assert f"--out {out} would be replaced with --pictures {out} in it" in caught.value.message
    assert f"--out {out} would be replaced with --data {out / 'deeper' / 'data'} in it" in caught.value.message
    assert "--base" not in caught.value.message
