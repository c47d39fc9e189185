"""What an answer is made of: sentences, each with the passage that it rests on, or one that declines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SentenceStatus = Literal["quoted", "supported", "replaced", "declined"]
"""How a sentence came to stand in an answer.

`quoted`: chosen from a passage. `supported`: generated, and a passage says so. `replaced`: a passage's sentence in place of a
generated one that no passage supports. `declined`: no passage answers the question.
"""


@dataclass(frozen=True)
class AnswerSentence:
    """One whole sentence of an answer."""

    text: str
    passage: int | None
    """Index of the cited passage among those that were given, from 0; None where nothing is cited."""
    status: SentenceStatus


DECLINED = AnswerSentence(
    "I have nothing on that in my notes. Ask me what to wear, what goes together, how clothes should fit or how to care "
    "for them.",
    passage=None,
    status="declined",
)
"""The whole answer where no passage answers the question."""
