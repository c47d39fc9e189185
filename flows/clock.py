"""The clock that nights are named by."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

DAYS_AHEAD = "AURA_DAYS_AHEAD"
"""Days by which that clock is ahead: seven nights of an hour have the dates of a week (`benchmarks/week.py`)."""


def now() -> datetime:
    """The moment at which a night or a maintenance begins, in UTC."""
    return datetime.now(UTC) + timedelta(days=float(os.environ.get(DAYS_AHEAD) or 0))
