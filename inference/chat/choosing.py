"""Which sentences of the passages answer a question.

A small model tells badly which sentence of a page answers, when it is to name one; it tells better how likely a question is,
given a sentence that answers it. So the question is scored behind every sentence, and Bayes' rule turns the scores into a choice
(query likelihood, Ponte and Croft, SIGIR 1998; noisy channel prompting, arXiv 2108.04106). Only whole sentences can come out.

How near the embeddings of question and sentence are is a second sign: a small model reads better than an embedding compares,
but knows fewer words. The sentence is embedded below its heading, as "white is worn in some families" answers a question about
funerals and none about weddings. How far its passage lies behind the best that the search found is a third. A logistic
regression weighs them, fitted on labelled questions by the training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
from scipy.special import log_softmax

from aura.settings import Section
from inference.chat.passages import ChatPassage
from inference.chat.sentences import quotable_sentences


@dataclass(frozen=True)
class PassageSentence:
    """A sentence that may be quoted, and the index of its passage."""

    text: str
    passage: int


@dataclass(frozen=True)
class Signs:
    """What is known of the sentences of some passages; every array float64 (sentences,).

    Attributes:
        posterior: log probability of each sentence to be what the question was asked of, all being alike before.
        in_context: cosine of the question's embedding and that of the sentence below its heading.
        lag: how much less relevant its passage is than the most relevant one; at least 0.
    """

    posterior: np.ndarray
    in_context: np.ndarray
    lag: np.ndarray


def passage_sentences(passages: Sequence[ChatPassage]) -> list[PassageSentence]:
    """The sentences of the passages in order; one that stands in two passages counts once."""
    first: dict[str, int] = {}
    for index, passage in enumerate(passages):
        for sentence in quotable_sentences(passage.text):
            first.setdefault(sentence, index)
    return [PassageSentence(text, passage) for text, passage in first.items()]


def signs_of(nats: Sequence[float], in_context: np.ndarray, lag: Sequence[float] | np.ndarray) -> Signs:
    """Signs from the nats of a question behind each sentence, and the others as they are."""
    others = (np.asarray(values, dtype=np.float64) for values in (in_context, lag))
    return Signs(log_softmax(-np.asarray(nats, dtype=np.float64)), *others)


class ChoiceRule(Section):
    """How likely a sentence answers: log odds of the intercept and the weighted signs. By default the model decides alone."""

    intercept: float = 1.0
    posterior: float = 1.0
    """Weight of the sentence's log probability."""
    in_context: float = 0.0
    """Weight of the cosine of the question and the sentence below its heading."""
    lag: float = 0.0
    """Weight of how much less relevant its passage is than the best."""

    def scores(self, signs: Signs) -> np.ndarray:
        """Log odds that each sentence answers: float64 (sentences,)."""
        return np.asarray(
            self.intercept
            + self.posterior * signs.posterior
            + self.in_context * signs.in_context
            + self.lag * signs.lag
        )


def chosen_sentences(
    sentences: Sequence[PassageSentence], scores: np.ndarray, *, most: int, least: float = -inf
) -> list[int]:
    """Indices of the sentences to quote, in the order in which they are told: at least one, at most `most`.

    The likeliest are taken, of those with a score of at least `least`. Those of one passage stay together and in its order; the
    passage with the likeliest comes first.
    """
    if not sentences:
        return []
    ranked = [int(index) for index in np.argsort(-scores, kind="stable")[:most]]
    taken = [index for place, index in enumerate(ranked) if place == 0 or scores[index] >= least]
    passages = list(dict.fromkeys(sentences[index].passage for index in taken))
    return sorted(taken, key=lambda index: (passages.index(sentences[index].passage), index))
