"""The services' log, in which every line names the request that it is about."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from typing import Any

from asgi_correlation_id import correlation_id


class _NamesTheRequest(logging.LoggerAdapter[logging.Logger]):
    # Not a filter and a format: BentoML configures the handlers of its processes itself.
    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        request_id = correlation_id.get()
        return (f"request {request_id}: {msg}" if request_id else msg), kwargs


logger = _NamesTheRequest(logging.getLogger("aura.services"))
