"""A hub that is away is told from a name that it does not have."""

from __future__ import annotations

import httpx
import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

from inference.hub import hub_is_away


def answered(status: int) -> HfHubHTTPError:
    response = httpx.Response(status, request=httpx.Request("GET", "https://hub.test"))
    return HfHubHTTPError("the hub answered", response=response)


def test_the_library_calls_the_hub_with_a_client_whose_errors_are_known() -> None:
    assert issubclass(HfHubHTTPError, httpx2.HTTPError)


def wrapped(cause: Exception) -> OSError:
    """As transformers reports it."""
    try:
        try:
            raise cause
        except Exception as error:
            raise OSError("cannot load the model") from error
    except OSError as error:
        return error


@pytest.mark.parametrize(
    ("cause", "away"),
    [
        (httpx.ConnectError("no route"), True),
        (httpx.ReadTimeout("too slow"), True),
        (httpx2.ConnectError("no route"), True),
        (httpx2.ReadTimeout("too slow"), True),
        (answered(503), True),
        (answered(429), True),
        (answered(404), False),
        (RepositoryNotFoundError("no such model", response=answered(404).response), False),
        (OfflineModeIsEnabled("HF_HUB_OFFLINE is set"), False),
        (ValueError("no such class"), False),
    ],
)
def test_which_errors_say_that_the_hub_is_away(cause: Exception, away: bool) -> None:
    assert hub_is_away(cause) is away
    assert hub_is_away(wrapped(cause)) is away
