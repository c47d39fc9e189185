"""Call a dead-man's switch at the end of a good night; the switch raises the alarm when no call comes.

It covers what this machine cannot report: the machine is off, or a server or worker does not run.
"""

from __future__ import annotations

from logging import Logger, LoggerAdapter
from typing import Any

import httpx
from tenacity import RetryError, retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from aura.proxies import direct

_ATTEMPTS = 4
_TIMEOUT_SECONDS = 10.0


def beat(url: str, logger: Logger | LoggerAdapter[Any]) -> bool:
    """Call the address, if there is one; returns whether it answered. A failed call does not fail the night."""
    if not url:
        return False

    @retry(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(multiplier=0.5),
        retry=retry_if_exception_type(httpx.HTTPError),
    )
    def call() -> None:
        httpx.get(url, timeout=_TIMEOUT_SECONDS, follow_redirects=True, **direct(url)).raise_for_status()

    try:
        call()
    except (RetryError, httpx.InvalidURL, ValueError, ImportError, OSError) as error:
        # The last three: the environment names a proxy or certificates that cannot be used.
        # The address is not logged: it could be used to silence the alarm.
        cause = error.last_attempt.exception() if isinstance(error, RetryError) else error
        logger.warning("the call of night.heartbeat_url failed (%s); its alarm will ring", type(cause).__name__)
        return False
    logger.info("the dead-man's switch was called")
    return True
