"""Which sentences of a page hold the facts of a reference answer: the targets of a quoted answer.

A reference answer says in an author's words what a page says in its own. Each of its sentences is aligned with the page's
sentence that is nearest by embedding, a shared number counting as much as 0.15 of cosine: "at most 30 °C" and "at most 60 °C" are
neighbours otherwise. One that is near to none (a remark of the author's) has no target.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inference.chat.quantities import Quantity, quantities
from inference.chat.sentences import split_sentences
from inference.chat.support import Embed, without_opener

_NUMBER_BONUS = 0.15
_MIN_SCORE = 0.45


def answer_facts(answer: str) -> list[str]:
    """The sentences of an answer, without a "Yes," or "Tip:" before them."""
    return [fact for sentence in split_sentences(answer) if (fact := without_opener(sentence))]


def aligned_sentences(answer: str, sentences: Sequence[str], embed: Embed) -> list[str]:
    """The sentences that hold the answer's facts, each once, in the order of `sentences`.

    Args:
        answer: a reference answer.
        sentences: those of the pages that it is taken from.
    """
    facts = answer_facts(answer)
    if not facts or not sentences:
        return []
    measured = [quantities(sentence) for sentence in sentences]
    chosen = set()
    for fact, cosines in zip(facts, embed(facts) @ embed(sentences).T, strict=True):
        said = quantities(fact)
        scores = cosines + _NUMBER_BONUS * np.array([_share_a_number(said, source) for source in measured])
        if scores.max() >= _MIN_SCORE:
            chosen.add(int(scores.argmax()))
    return [sentence for index, sentence in enumerate(sentences) if index in chosen]


def _share_a_number(said: Sequence[Quantity], source: Sequence[Quantity]) -> bool:
    return any(one.holds(claim) for claim in said if not claim.is_one for one in source)
