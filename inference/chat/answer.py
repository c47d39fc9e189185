"""What an answer is made of: sentences, each with the passage that it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SentenceStatus = Literal["quoted", "supported", "replaced"]
"""How a sentence came to stand in an answer.

`quoted`: chosen from a passage. `supported`: generated, and a passage says so. `replaced`: a passage's sentence in place of a
generated one that no passage supports.
"""


@dataclass(frozen=True)
class AnswerSentence:
    """One whole sentence of an answer."""

    text: str
    passage: int
    """Index of the cited passage among those that were given, from 0."""
    status: SentenceStatus
