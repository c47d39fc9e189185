"""Is the hub away, or is what was asked of it wrong? transformers and its kin report both as an OSError."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import httpx2
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

_TOO_MANY_REQUESTS, _SERVER_ERROR = 429, 500


def hub_is_away(error: BaseException) -> bool:
    """Whether an error of a download says that the hub does not answer at the moment; not so in the hub's offline mode."""
    causes = list(_causes(error))
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in causes):
        return False
    # huggingface_hub calls the hub with httpx2, `datasets` and its kin open files by other ways.
    lost = httpx.TransportError | httpx2.TransportError | ConnectionError
    return any(isinstance(cause, lost) or _busy(cause) for cause in causes)


def _busy(error: BaseException) -> bool:
    response = error.response if isinstance(error, HfHubHTTPError) else None
    return response is not None and (
        response.status_code == _TOO_MANY_REQUESTS or response.status_code >= _SERVER_ERROR
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
