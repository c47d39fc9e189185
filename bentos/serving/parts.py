"""How the two parts of a service are set up for each other in BentoML."""

from __future__ import annotations

from typing import Any

ONE_SESSION = {"max_requests": 2**31, "max_age": 1e9}
"""For a model part's `runner_connection`: BentoML's client of it keeps its connections.

By default it closes them all after 100 requests or 300 seconds, those in use too: answers under way break off, and some of
their callers wait for ever (reproduced with BentoML 1.4.39; `/health` alone makes so many requests).
"""


def model_part(seconds: int) -> dict[str, Any]:
    """Options of a model part of one worker that has so long for a call."""
    return {"workers": 1, "traffic": {"timeout": seconds}, "runner_connection": ONE_SESSION}


def api_part(model_part_seconds: int) -> dict[str, Any]:
    """Options of the API part whose model part has so long for a call.

    Where both have the same, the API part's clock ends first, and BentoML answers in its own words instead of the error
    body. A request makes up to three calls to the model part, one after the other.
    """
    return {"traffic": {"timeout": 4 * model_part_seconds}}
