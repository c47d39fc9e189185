"""What goes wrong with the Prefect server, as one sentence: at which address, and what to do.

Prefect's client raises what its HTTP library raises, and RuntimeError where it asks for the version first. So it is the server
that is asked: whether it answers at all decides what is told.
"""

from __future__ import annotations

import shutil

import httpx
from tenacity import retry, retry_if_exception, stop_after_delay, wait_fixed

from aura.errors import AuraError, PrefectUnavailableError, StartError
from aura.paths import home
from aura.proxies import direct

GIVEN_SECONDS = 15.0
"""Seconds for a server that `PREFECT_API_URL` names to answer, where a person waits."""
_ANSWER_SECONDS = 5.0
_LITTLE_BYTES = 50_000_000
"""Free space below which a server's error is put down to a full disk."""


def wait_for_server(url: str, seconds: float = GIVEN_SECONDS) -> None:
    """Wait until the Prefect API at `url` answers.

    Raises:
        StartError: it does not, within `seconds`, or the address is none.
    """

    @retry(stop=stop_after_delay(seconds), wait=wait_fixed(1), retry=retry_if_exception(_may_pass), reraise=True)
    def answers() -> None:
        _ask(url, max(seconds, _ANSWER_SECONDS))

    try:
        answers()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise StartError(
            f"no Prefect server answers at {url}: {error}",
            hint="start it (`prefect server start`, or the unit aura-prefect-server), or correct PREFECT_API_URL; without "
            "that variable a night starts a server of its own",
        ) from error


def prefect_error(error: Exception, url: str) -> AuraError | None:
    """The error to tell when Prefect raised `error` and its server at `url` is the cause; None when it is not."""
    try:
        _ask(url, _ANSWER_SECONDS)
    except httpx.HTTPError as silent:
        return PrefectUnavailableError(
            f"the Prefect server at {url} does not answer any more: {silent}",
            hint="see its log and start it again; a night's work and report lie in the home folder, and the next night "
            "carries on from there",
        )
    if not isinstance(error, httpx.HTTPStatusError):
        return None
    free = shutil.disk_usage(home()).free if home().is_dir() else _LITTLE_BYTES
    full = free < _LITTLE_BYTES
    return PrefectUnavailableError(
        f"the Prefect server at {url} answered {error.response.status_code}"
        + ", and the disk of the home is full" * full,
        hint=f"free some space on the disk of {home()}" if full else "see its log",
    )


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, httpx.HTTPError) and not isinstance(error, httpx.UnsupportedProtocol)


def _ask(url: str, seconds: float) -> None:
    """Raise an httpx.HTTPError unless a server answers; one that wants a login does, and Prefect's client has it."""
    response = httpx.get(f"{url}/health", timeout=seconds, **direct(url))
    if response.status_code not in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        response.raise_for_status()
