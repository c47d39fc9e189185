"""The rules of answers: right where signs part the questions, within the limit where they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.chat.choosing import ChoiceRule, DeclineRule, Signs, signs_of
from inference.chat.model import ChatModel
from inference.chat.passages import nearest
from training.chat import rules
from training.chat.questions import read_questions
from training.chat.rules import fit_rules
from training.chat.settings import ChatSettings


def signs(count: int, seed: int) -> tuple[list[Signs], list[np.ndarray]]:
    """Of four sentences the third answers: the question is likelier behind it."""
    generator = np.random.default_rng(seed)
    held = np.array([False, False, True, False])
    made = [
        signs_of(np.where(held, 10.0, 30.0) + generator.normal(size=4), 20, generator.uniform(0, 1, 4))
        for _ in range(count)
    ]
    return made, [held] * count


def test_a_choice_that_signs_part_is_learnt() -> None:
    rule = rules._fit_choice(*signs(20, seed=1))
    assert rule.posterior > 0
    for one, held in zip(*signs(20, seed=2), strict=True):
        assert ((rule.scores(one) > 0) == held).all()


def test_a_choice_by_the_embeddings_alone_is_learnt_too() -> None:
    held = np.array([True, False])
    made = [signs_of([20.0, 20.0], 20, np.array([0.8, 0.2]) + shift) for shift in (-0.1, 0.0, 0.1)]
    rule = rules._fit_choice(made, [held] * 3)
    assert rule.similarity > 0
    assert all(((rule.scores(one) > 0) == held).all() for one in made)


def test_without_two_kinds_of_sentences_the_choice_is_the_default() -> None:
    made, held = signs(3, seed=1)
    assert rules._fit_choice([], []) == ChoiceRule()
    assert rules._fit_choice(made, [one & False for one in held]) == ChoiceRule()
    assert rules._fit_choice(made, [one | True for one in held]) == ChoiceRule()


def declined(rule: DeclineRule, columns: np.ndarray) -> np.ndarray:
    return np.array([rule.holds(*map(float, row)) for row in columns])


def test_questions_that_similarity_parts_are_declined_rightly() -> None:
    columns = np.array([[0.6], [0.7], [0.9], [0.1], [0.2], [0.3]])
    inside = np.array([True] * 3 + [False] * 3)
    rule = rules._fit_decline(columns, inside, 0.0)
    assert (rule.best, rule.nats) == (0.0, 0.0)
    assert (declined(rule, columns) == ~inside).all()
    assert rule.holds(0.44)
    assert not rule.holds(0.46)  # half-way between 0.3 and 0.6


def test_all_signs_have_their_part() -> None:
    generator = np.random.default_rng(3)
    inside = np.arange(80) % 2 == 0
    columns = generator.normal(size=(80, 3))
    columns[:, 2] += np.where(inside, -4.0, 4.0)
    rule = rules._fit_decline(columns, inside, 0.05)
    assert rule.nats > abs(rule.similarity)
    assert declined(rule, columns)[~inside].mean() > 0.95


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("limit", [0.0, 0.04, 0.1, 0.5])
def test_no_more_questions_inside_are_declined_than_allowed(seed: int, limit: float) -> None:
    generator = np.random.default_rng(seed)
    inside = generator.random(90) < 0.7
    columns = generator.normal(size=(90, 3)) + np.where(inside, 0.5, -0.5)[:, None]
    told = declined(rules._fit_decline(columns, inside, limit), columns)
    assert told[inside].sum() <= int(limit * inside.sum())
    if limit >= 0.1:
        assert told[~inside].mean() > told[inside].mean()


def test_without_two_kinds_of_questions_refusing_is_the_default() -> None:
    columns = np.array([[0.5], [0.6]])
    assert rules._fit_decline(columns, np.array([True, True]), 0.1) == DeclineRule()
    assert rules._fit_decline(columns, np.array([False, False]), 0.1) == DeclineRule()
    assert rules._fit_decline(np.zeros((0, 3)), np.zeros(0, dtype=bool), 0.1) == DeclineRule()


def test_signs_that_say_nothing_decline_nothing_inside() -> None:
    inside = np.array([True, False] * 4)
    assert not declined(rules._fit_decline(np.full((8, 1), 0.5), inside, 0.0), np.full((8, 1), 0.5)).any()


@pytest.mark.parametrize("quoted", [True, False])
def test_rules_are_fitted_on_what_a_model_says_to_real_questions(
    prepared: Path, settings: ChatSettings, free_settings: ChatSettings, quoted: bool
) -> None:
    chosen = settings if quoted else free_settings
    model = ChatModel.load_base(chosen.base, prompt=chosen.prompt, answers=chosen.answers)
    questions = read_questions(prepared, "validation", chosen)
    choice, declines = fit_rules(model, questions, 0.0)
    assert (choice != ChoiceRule()) == quoted
    assert declines != DeclineRule()
    if not quoted:
        assert (declines.best, declines.nats) == (0.0, 0.0)
        told = [declines.holds(nearest(one.passages)) for one in questions]
    else:
        model.choice, model.declines = choice, declines
        answers = [model.answer(one.messages, one.passages) for one in questions]
        told = []
        for answer in answers:
            list(answer)
            told.append(answer.declined)
    assert not any(refused for one, refused in zip(questions, told, strict=True) if one.in_scope)
    # Bread, guitars and taxes are far from wool, linen and silk.
    assert any(refused for one, refused in zip(questions, told, strict=True) if not one.in_scope)


def test_without_questions_the_rules_are_the_defaults(settings: ChatSettings) -> None:
    for way in ("quoted", "free"):
        answers = settings.answers.model_copy(update={"way": way})
        model = ChatModel.load_base(settings.base, prompt=settings.prompt, answers=answers)
        assert fit_rules(model, [], 0.04) == (ChoiceRule(), DeclineRule())
