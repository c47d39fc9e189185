"""Passages of a question: their number, the query that finds them, and their text in the prompt.

Training and serving both take these from here. Nothing heavy is imported: the service before the runner needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aura.errors import InvalidRequestError

DEFAULT_PASSAGES = 2
"""Passages per question by default, in training and in serving."""
_FOLLOW_UP_WORDS = 6
_MAX_QUERY_CHARS = 1000
"""Length limit of a query, blanks counted once; a long question loses its beginning, as people ask at the end."""


def search_query(messages: Sequence[Mapping[str, str]]) -> str:
    """What to look up: the last question, with the one before when it is too short to stand alone ("and in winter?").

    Raises:
        InvalidRequestError: the user has not said anything.
    """
    questions = [message["content"] for message in messages if message["role"] == "user"]
    if not questions:
        raise InvalidRequestError("no message of the user's to look up", hint="send at least one user message")
    follows_up = len(questions) > 1 and len(questions[-1].split()) < _FOLLOW_UP_WORDS
    words = " ".join(questions[-2:] if follows_up else questions[-1:]).split()
    return " ".join(words)[-_MAX_QUERY_CHARS:]


def passage_text(title: str, heading: str, text: str) -> str:
    """A passage as it stands in the prompt: its source, then its text."""
    source = title if heading == title else f"{title}. {heading}"
    return f"{source}.\n{text}"
