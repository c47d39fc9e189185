"""The services' log, as they write it."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
from asgi_correlation_id import CorrelationIdFilter

from bentos.serving.request_log import json_formatter


@pytest.fixture
def logged() -> Iterator[Callable[[], list[tuple[str | None, str]]]]:
    """Request id and message of each line from INFO on that is logged during the test."""
    written = io.StringIO()
    output = logging.StreamHandler(written)
    output.setFormatter(json_formatter())
    output.addFilter(CorrelationIdFilter())
    aura = logging.getLogger("aura")
    level = aura.level
    aura.setLevel("INFO")
    aura.addHandler(output)
    yield lambda: [(line["request_id"], line["message"]) for line in map(json.loads, written.getvalue().splitlines())]
    aura.removeHandler(output)
    aura.setLevel(level)
