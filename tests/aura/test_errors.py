"""Errors for people: hint, code, and the way through a process boundary."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from aura.error_file import ERROR_FILE, EXIT_CODE, read_error, report_error, reporting_errors
from aura.errors import AuraError, DataError, StorageError, told_storage_error


def test_message_and_hint_are_shown_and_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(DataError("17 photos are broken", hint="delete them")))
    assert isinstance(error, DataError)
    assert str(error) == "17 photos are broken\nHint: delete them"


def test_codes_are_unique_and_stable() -> None:
    codes = [kind.code for kind in every_kind()]
    assert len(set(codes)) == len(codes)


def every_kind(base: type[AuraError] = AuraError) -> list[type[AuraError]]:
    derived = [kind for kind in base.__subclasses__() if kind.__module__ == "aura.errors"]
    return [base, *(further for kind in derived for further in every_kind(kind))]


@pytest.mark.parametrize("kind", every_kind(), ids=lambda kind: kind.code)
def test_an_error_comes_out_of_another_process_as_it_went_in(
    kind: type[AuraError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert read_error(tmp_path / "error.json") is None
    monkeypatch.setenv(ERROR_FILE, str(tmp_path / "error.json"))
    assert report_error(kind("17 photos are broken", hint="delete them")) == EXIT_CODE
    error = read_error(tmp_path / "error.json")
    assert type(error) is kind
    assert (error.message, error.hint) == ("17 photos are broken", "delete them")
    (tmp_path / "error.json").write_text('{"code": ', encoding="utf-8")
    assert read_error(tmp_path / "error.json") is None


def test_a_full_disk_and_a_place_without_the_right_to_write_are_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as full:
        with open("/dev/full", "wb", buffering=0) as stream:
            stream.write(b"x")
    told = told_storage_error(full.value)
    assert told is not None
    assert "no space is left" in told.message
    assert "free some space" in told.hint
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(NotADirectoryError) as refused:
        (tmp_path / "file" / "folder").mkdir()
    told = told_storage_error(refused.value)
    assert told is not None
    assert str(tmp_path / "file" / "folder") in told.message
    assert "AURA_HOME" in told.hint
    with pytest.raises(FileNotFoundError) as bug:
        (tmp_path / "none").read_text(encoding="utf-8")
    assert told_storage_error(bug.value) is None


@pytest.mark.parametrize(
    "said",
    [
        "LanceError(IO): Generic LocalFileSystem error: No space left on device (os error 28)",
        'Error while serializing: IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })',
        "(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT ...]",
    ],
)
def test_a_full_disk_that_a_library_tells_in_its_own_words_is_reported_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    @reporting_errors
    def main(text: str) -> int:
        raise RuntimeError(text)

    monkeypatch.setenv(ERROR_FILE, str(tmp_path / "error.json"))
    assert main(said) == EXIT_CODE
    error = read_error(tmp_path / "error.json")
    assert isinstance(error, StorageError)
    assert len(error.message.splitlines()) == 1
    assert "free some space" in error.hint
    with pytest.raises(RuntimeError, match="a bug"):
        main("a bug")
    # Not a device: the report takes the place of what is there, and root may do that.
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv(ERROR_FILE, str(tmp_path / "file" / "error.json"))
    assert main(said) == EXIT_CODE, "there is no place for the report either"
