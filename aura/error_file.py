"""Pass an error with its class to the waiting process: as JSON, in a file that the waiting process names.

A stage of the pipeline runs below DVC and a shell, which pass on an exit code at most. Its output is for people.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import ParamSpec

from aura.artifact import write_json
from aura.errors import AuraError, error_from_dict, told_storage_error

ERROR_FILE = "AURA_ERROR_FILE"
"""Environment variable with the path of the file; without it the error is only printed."""

EXIT_CODE = 2

Arguments = ParamSpec("Arguments")


def report_error(error: AuraError) -> int:
    """Print an error, write it to the error file if there is one, and return the exit code."""
    print(f"error: {error}", file=sys.stderr)
    if path := os.environ.get(ERROR_FILE):
        with suppress(OSError):  # what is to be told may be that the disk is full
            write_json(Path(path), error.as_dict())
    return EXIT_CODE


def reporting_errors(main: Callable[Arguments, int]) -> Callable[Arguments, int]:
    """Let a process report an `AuraError`, and a file or disk that takes nothing; another error is a bug, and keeps its trace."""

    @wraps(main)
    def reporting(*arguments: Arguments.args, **options: Arguments.kwargs) -> int:
        try:
            return main(*arguments, **options)
        except Exception as error:
            told = error if isinstance(error, AuraError) else told_storage_error(error)
            if told is None:
                raise
            return report_error(told)

    return reporting


def read_error(path: Path) -> AuraError | None:
    """The error that a process left, or None when it left none."""
    try:
        return error_from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError):
        return None
