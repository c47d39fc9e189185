"""An error of the model part arrives in the API part as what it was."""

from __future__ import annotations

import json

import pytest

from aura.errors import AuraError, IndexNotReadyError, InvalidRequestError
from bentos.serving.hop import as_answer, raise_error_of


@pytest.mark.parametrize("error", [InvalidRequestError("too long", hint="shorten it"), IndexNotReadyError("none yet")])
def test_code_message_and_hint_survive(error: AuraError) -> None:
    with pytest.raises(AuraError) as caught:
        raise_error_of(json.loads(json.dumps(as_answer(error))))
    assert (caught.value.code, caught.value.message, caught.value.hint) == (error.code, error.message, error.hint)


def test_an_answer_without_an_error_passes() -> None:
    raise_error_of({"passages": []})
