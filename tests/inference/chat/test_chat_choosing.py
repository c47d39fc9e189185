"""Which sentences are quoted: the signs by hand, the rule, and the order in which the chosen are told."""

from __future__ import annotations

from math import exp, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.chat.choosing import (
    ChoiceRule,
    PassageSentence,
    chosen_sentences,
    passage_sentences,
    signs_of,
)
from inference.chat.passages import ChatPassage

SENTENCES = [PassageSentence(f"Sentence {number}.", number // 2) for number in range(6)]
"""Two of each of three passages."""


def test_signs_are_bayes_rule_and_what_else_is_known() -> None:
    cosines = np.array([0.1, 0.2, 0.3], dtype=np.float32)
    signs = signs_of([log(2), log(4), log(4)], cosines, [0.0, 0.5, 0.5])
    np.testing.assert_allclose(np.exp(signs.posterior), [0.5, 0.25, 0.25])
    np.testing.assert_allclose(signs.in_context, [0.1, 0.2, 0.3], rtol=1e-6)
    np.testing.assert_allclose(signs.lag, [0.0, 0.5, 0.5])
    arrays = (signs.posterior, signs.in_context, signs.lag)
    assert {array.dtype for array in arrays} == {np.dtype("float64")}


def test_nats_in_the_thousands_are_no_zero_probabilities() -> None:
    posterior = signs_of([5000.0, 5001.0], *np.zeros((2, 2))).posterior
    np.testing.assert_allclose(posterior, [-log(1 + exp(-1)), -1 - log(1 + exp(-1))])


def test_the_choice_weighs_what_the_model_and_the_embeddings_say() -> None:
    signs = signs_of([1.0, 2.0], np.array([0.2, 0.1]), [0.25, 0.0])
    rule = ChoiceRule(intercept=0.5, posterior=2.0, in_context=10.0, lag=-4.0)
    np.testing.assert_allclose(rule.scores(signs), 0.5 + 2.0 * signs.posterior + np.array([2.0 - 1.0, 1.0]))
    assert ChoiceRule(lag=-20.0).scores(signs).argmax() == 1
    assert ChoiceRule().scores(signs).argmax() == 0


def test_sentences_of_passages_stand_in_order_and_once() -> None:
    passages = [
        ChatPassage(source="A", text="Wash wool cold. Dry flat."),
        ChatPassage(source="B", text="Dry flat. They say. Iron damp."),
    ]
    assert passage_sentences(passages) == [
        PassageSentence("Wash wool cold.", 0),
        PassageSentence("Dry flat.", 0),
        PassageSentence("Dry flat. They say.", 1),
        PassageSentence("Iron damp.", 1),
    ]
    assert passage_sentences([passages[0], passages[0]]) == passage_sentences(passages[:1])


@pytest.mark.parametrize(
    ("scores", "most", "chosen"),
    [
        ([-9.0, -9.0, -9.0, -8.0, -9.0, -9.0], 3, [3]),  # at least one, however unlikely
        ([5.0, 4.0, 3.0, 2.0, 1.0, 1.0], 3, [0, 1, 2]),
        ([5.0, 4.0, 3.0, 2.0, 1.0, 1.0], 1, [0]),
        ([1.0, -9.0, 4.0, -9.0, 3.0, 5.0], 9, [4, 5, 2, 0]),  # the likeliest's passage first, each in its own order
        ([2.0, 3.0, -9.0, -9.0, -9.0, -9.0], 3, [0, 1]),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 2, [0, 1]),  # the earlier of equals
    ],
)
def test_the_likeliest_are_told_passage_by_passage(scores: list[float], most: int, chosen: list[int]) -> None:
    assert chosen_sentences(SENTENCES, np.array(scores), most=most, least=log(0.2 / 0.8)) == chosen


def test_a_sentence_is_quoted_from_its_probability_on() -> None:
    scores = np.array([9.0, log(0.3 / 0.7), log(0.29 / 0.71)] + [-9.0] * 3)
    assert chosen_sentences(SENTENCES, scores, most=6, least=log(0.3 / 0.7)) == [0, 1]


def test_nothing_is_chosen_from_nothing() -> None:
    assert chosen_sentences([], np.zeros(0), most=3) == []


@given(st.lists(st.floats(-9, 9), min_size=6, max_size=6), st.integers(1, 6), st.floats(-9, 9))
def test_between_one_and_the_most_are_chosen_each_once_with_the_likeliest(
    scores: list[float], most: int, least: float
) -> None:
    chosen = chosen_sentences(SENTENCES, np.array(scores), most=most, least=least)
    assert 1 <= len(chosen) == len(set(chosen)) <= most
    assert int(np.argmax(scores)) in chosen
    places = [SENTENCES[index].passage for index in chosen]
    assert len(list(dict.fromkeys(places))) == sum(a != b for a, b in zip(places, [None, *places], strict=False))
