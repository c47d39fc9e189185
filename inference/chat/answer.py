"""What an answer is made of: sentences, each with the passage that it rests on, or one that declines."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

SentenceStatus = Literal["quoted", "supported", "replaced", "declined"]
"""How a sentence came to stand in an answer.

`quoted`: chosen from a passage. `supported`: generated, and a passage says so. `replaced`: a passage's sentence in place of a
generated one that no passage supports. `declined`: no passage answers the question.
"""


Wanted = Callable[[], bool]
"""Whether somebody still waits for an answer; asked between two pieces of the work, by any thread."""


def always() -> bool:
    return True


class AnswerStoppedError(Exception):
    """Nobody waits for an answer any longer, so it is not made."""


class Closable(Protocol[T_co]):
    """What is iterated over and may be ended early: a generator, or the stream of an HTTP client."""

    def __iter__(self) -> Iterator[T_co]: ...

    def close(self) -> None: ...


def while_wanted(items: Closable[T], wanted: Wanted) -> Generator[T, None, None]:
    """The items, for as long as somebody waits for them; they are closed however this ends.

    Raises:
        AnswerStoppedError: nobody does.
    """
    with closing(items):
        for item in items:
            if not wanted():
                raise AnswerStoppedError
            yield item


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
