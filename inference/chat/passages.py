"""Passages of a question: their number, the query that finds them, and their text in the prompt.

Training and serving both take these from here. Nothing heavy is imported: the service before the runner needs no torch.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aura.errors import InvalidRequestError

DEFAULT_PASSAGES = 3
"""Passages per question by default, in training and in serving."""
_FOLLOW_UP_WORDS = 6
_POINTS_BACK = re.compile(
    r"^\W*(?:and|but|or|so|then|also|ok|okay|what about|how about|what if|which (?:one|of)|the same)\b"
    r"|\b(?:it|its|they|them|their|those|these|that one|this one|ones|him|her|there|the other|opposite)\b",
    re.IGNORECASE,
)
"""How a question begins, or what it names, when it stands on the one before."""
_MAX_QUERY_CHARS = 1000
"""Length limit of a query, blanks counted once; a long question loses its beginning, as people ask at the end."""


@dataclass(frozen=True, kw_only=True)
class ChatPassage:
    """A passage as an answer may use it.

    Attributes:
        source: where it stands: title of the page, and heading.
        text: its whole text, without the heading.
        similarity: cosine of the question's and the passage's embeddings, in [-1, 1].
        relevance: of the search that found it; see `inference.retrieval.hybrid`.
    """

    source: str
    text: str
    similarity: float = 1.0
    relevance: float = 1.0

    @property
    def whole(self) -> str:
        """The source, then the text below it."""
        return self.below_heading(self.text)

    def below_heading(self, text: str) -> str:
        """A part of the text, below the source: what it is about stands in the heading alone."""
        return f"{self.source}.\n{text}"


def whole_question(messages: Sequence[Mapping[str, str]]) -> str:
    """The last question, with those before on which it stands: "what for a funeral? and which shoes?".

    A question stands on the one before when it has fewer than six words, begins as a follow-up does ("and", "what about"), or
    points back ("it", "those"). At most three questions are put together.

    Raises:
        InvalidRequestError: the user has not said anything.
    """
    questions = [" ".join(message["content"].split()) for message in messages if message["role"] == "user"]
    if not questions:
        raise InvalidRequestError("no message of the user's to look up", hint="send at least one user message")
    first = len(questions) - 1
    while first > max(0, len(questions) - 3) and _stands_on_another(questions[first]):
        first -= 1
    return " ".join(questions[first:])


def search_query(messages: Sequence[Mapping[str, str]]) -> str:
    """What to look up: the end of `whole_question`, as long as a query may be.

    Raises:
        InvalidRequestError: as `whole_question`.
    """
    return whole_question(messages)[-_MAX_QUERY_CHARS:]


def _stands_on_another(question: str) -> bool:
    return len(question.split()) < _FOLLOW_UP_WORDS or _POINTS_BACK.search(question) is not None


def source_of(title: str, heading: str) -> str:
    """Where a passage stands, for a prompt: a page's first section has the page's title for its heading."""
    return title if heading == title else f"{title}. {heading}"
