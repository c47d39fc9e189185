"""The services' log: JSON lines, each with the id of the request that it is about.

BentoML configures the logging of each of its processes with a text format, and drops what is below WARNING where the logger is
not its own. `log_json_lines` replaces that configuration. The lines are python-json-logger's and the id is asgi-correlation-id's;
BentoML itself and the middleware need both libraries already.
"""

from __future__ import annotations

import logging
import logging.config
import os
from collections.abc import Mapping
from typing import Any

from asgi_correlation_id import CorrelationIdFilter
from pythonjsonlogger.json import JsonFormatter

from aura.errors import SettingsError

logger = logging.getLogger("aura.services")
LEVEL = "LOG_LEVEL"
"""Environment variable with the level from which on the services log."""
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_FIELDS = ("levelname", "name", "process", "correlation_id", "message")
_NAMES = {"levelname": "level", "name": "logger", "correlation_id": "request_id"}


def json_formatter() -> logging.Formatter:
    """One JSON object per record: timestamp (UTC), level, logger, process, request_id, message, and what the call adds."""
    return JsonFormatter(_FIELDS, rename_fields=_NAMES, timestamp=True, json_ensure_ascii=False)


def read_level(environ: Mapping[str, str]) -> str:
    """The level that the environment names; without one INFO.

    Raises:
        SettingsError: it is none.
    """
    level = environ.get(LEVEL) or "INFO"
    if level.upper() not in _LEVELS:
        raise SettingsError(f"{LEVEL} is {level!r}", hint=f"set {LEVEL} to one of {', '.join(_LEVELS)}")
    return level.upper()


def log_json_lines() -> None:
    """Write the log of this process to its standard output as JSON lines, from `LOG_LEVEL` on for the services and BentoML.

    Raises:
        SettingsError: `LOG_LEVEL` is none.
    """
    level = read_level(os.environ)
    through_root: dict[str, Any] = {"handlers": [], "propagate": True}
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"request": {"()": CorrelationIdFilter}},
            "formatters": {"json": {"()": json_formatter}},
            "handlers": {
                "output": {
                    "class": "logging.StreamHandler", "stream": "ext://sys.stdout",
                    "formatter": "json", "filters": ["request"],
                }
            },
            "root": {"level": "WARNING", "handlers": ["output"]},
            "loggers": {
                "aura": {"level": level},
                "bentoml": through_root | {"level": level},
                "circus": through_root | {"level": "WARNING"},
                "uvicorn.error": through_root | {"level": "WARNING"},
            },
        }
    )  # fmt: skip
    logging.captureWarnings(True)
