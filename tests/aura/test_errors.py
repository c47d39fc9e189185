"""Errors for people: hint, code, and the way through a process boundary."""

from __future__ import annotations

import pickle

from aura.errors import AuraError, DataError


def test_message_and_hint_are_shown_and_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(DataError("17 photos are broken", hint="delete them")))
    assert isinstance(error, DataError)
    assert str(error) == "17 photos are broken\nHint: delete them"


def test_codes_are_unique_and_stable() -> None:
    codes = [kind.code for kind in AuraError.__subclasses__()]
    assert len(set(codes)) == len(codes)
