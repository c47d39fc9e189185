"""Errors on their way from a model part to its API part: as they are, BentoML would turn each into a bare 500."""

from __future__ import annotations

from typing import Any

from aura.errors import AuraError


def as_answer(error: AuraError) -> dict[str, Any]:
    """An error as a plain value, for the model part to return."""
    return {"error": {"code": error.code, "message": error.message, "hint": error.hint}}


def raise_error_of(answer: dict[str, Any]) -> None:
    """Raise the error that an answer of the model part carries, if it does.

    Raises:
        AuraError: with the code, message and hint that it had there.
    """
    if "error" in answer:
        error = AuraError(answer["error"]["message"], hint=answer["error"]["hint"])
        error.code = answer["error"]["code"]
        raise error
