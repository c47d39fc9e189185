"""Errors for people: hint, code, and the way through a process boundary."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from aura.error_file import ERROR_FILE, EXIT_CODE, read_error, report_error
from aura.errors import AuraError, DataError


def test_message_and_hint_are_shown_and_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(DataError("17 photos are broken", hint="delete them")))
    assert isinstance(error, DataError)
    assert str(error) == "17 photos are broken\nHint: delete them"


def test_codes_are_unique_and_stable() -> None:
    codes = [kind.code for kind in every_kind()]
    assert len(set(codes)) == len(codes)


def every_kind(base: type[AuraError] = AuraError) -> list[type[AuraError]]:
    return [base, *(kind for derived in base.__subclasses__() for kind in every_kind(derived))]


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
