"""Problems as text for a caller, bounded: an answer never sends back the megabytes that it complains about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

MAX_PROBLEMS = 10
"""Problems per error."""
MAX_PROBLEM_CHARS = 200
"""Length limit in characters of one problem."""
_GAP = " ... "


def shortened(text: str) -> str:
    """The text if it has at most `MAX_PROBLEM_CHARS` characters, else its beginning and its end."""
    if len(text) > MAX_PROBLEM_CHARS:
        half = (MAX_PROBLEM_CHARS - len(_GAP)) // 2
        text = text[:half] + _GAP + text[-half:]
    # JSON may hold half a surrogate pair, which an answer cannot.
    return text.encode("utf-8", "backslashreplace").decode()


def bounded(message: str) -> str:
    """The first `MAX_PROBLEMS` lines of a message with one problem per line, each shortened."""
    lines = message.split("\n")
    return "\n".join(_shown(lines, len(lines)))


def validation_text(errors: Sequence[Any], whole: str = "body") -> str:
    """Where and what, of the first `MAX_PROBLEMS` problems that pydantic found (`errors()` of its exception).

    Args:
        whole: name of what was validated, where a problem is not one of a field.
    """
    problems = [
        f"{'.'.join(map(str, error['loc'])) or whole}: {error['msg'].removeprefix('Value error, ')}"
        for error in errors[:MAX_PROBLEMS]
    ]
    return "; ".join(_shown(problems, len(errors)))


def _shown(problems: Sequence[str], count: int) -> list[str]:
    more = [f"and {count - MAX_PROBLEMS} more"] if count > MAX_PROBLEMS else []
    return [*map(shortened, problems[:MAX_PROBLEMS]), *more]
