"""The call at the end of a good night to a dead-man's switch, which raises the alarm when it is not called.

It covers what nothing on this machine can report: a machine that is off, a server or worker that does not run.
"""

from __future__ import annotations

from logging import Logger, LoggerAdapter
from typing import Any

import httpx
from tenacity import RetryError, retry, retry_if_exception_type, stop_after_attempt, wait_exponential

_ATTEMPTS = 4
_TIMEOUT_SECONDS = 10.0


def beat(url: str, logger: Logger | LoggerAdapter[Any]) -> bool:
    """Call the address, if there is one; whether it answered. A call that fails ends no night: the switch will say so."""
    if not url:
        return False

    @retry(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(multiplier=0.5),
        retry=retry_if_exception_type(httpx.HTTPError),
    )
    def call() -> None:
        httpx.get(url, timeout=_TIMEOUT_SECONDS, follow_redirects=True).raise_for_status()

    try:
        call()
    except (RetryError, httpx.InvalidURL) as error:
        # Without the address: whoever knows it can keep the alarm quiet.
        cause = error.last_attempt.exception() if isinstance(error, RetryError) else error
        logger.warning("the call of night.heartbeat_url failed (%s); its alarm will ring", type(cause).__name__)
        return False
    logger.info("the dead-man's switch was called")
    return True
