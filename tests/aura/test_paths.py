"""The home folder: which paths are refused in words, and a name of a folder that outlives a move."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from aura.errors import SettingsError
from aura.paths import TEMPORARY_PATH_CHARS, check_temporary_folder, held, home


@pytest.mark.parametrize("sign", ["?", "{", "}", "%(", "\n", "\u2028", "\udcff"])
def test_a_home_that_no_store_can_take_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign: str
) -> None:
    monkeypatch.setenv("AURA_HOME", str(tmp_path / f"a{sign}b"))
    with pytest.raises(SettingsError, match="which its stores cannot take") as caught:
        home()
    assert repr(sign) in caught.value.message
    assert "AURA_HOME" in caught.value.hint


def test_where_folders_have_no_second_name_a_home_of_other_letters_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "jürgen"))
    assert home() == tmp_path / "jürgen"
    monkeypatch.setattr("aura.paths._HANDLES", tmp_path / "no such folder")
    with pytest.raises(SettingsError, match="not ASCII"):
        home()
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "plain"))
    assert home() == tmp_path / "plain"


def test_a_folder_for_temporary_files_without_room_for_sockets_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/" + "t" * (TEMPORARY_PATH_CHARS - 1))
    check_temporary_folder()
    monkeypatch.setattr(tempfile, "tempdir", "/" + "t" * TEMPORARY_PATH_CHARS)
    with pytest.raises(SettingsError, match="sockets") as caught:
        check_temporary_folder()
    assert "TMPDIR" in caught.value.hint


def test_a_held_folder_is_found_after_it_was_moved(tmp_path: Path) -> None:
    folder = tmp_path / "jürgen" / "index"
    folder.mkdir(parents=True)
    name = held(folder)
    assert str(name).isascii()
    (tmp_path / "jürgen").rename(tmp_path / "elsewhere")
    (name / "file").write_text("here", encoding="utf-8")
    assert (tmp_path / "elsewhere" / "index" / "file").read_text(encoding="utf-8") == "here"
    assert held(tmp_path / "elsewhere" / "index") == name
    with pytest.raises(FileNotFoundError):
        held(folder)
