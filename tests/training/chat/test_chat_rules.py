"""The rules of answers: right where signs part the questions, within the limit where they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aura.wording import says
from inference.chat.choosing import ChoiceRule
from inference.chat.declining import DeclineRule
from inference.chat.familiarity import Familiarity
from inference.chat.model import ChatModel
from inference.chat.passages import ChatPassage, whole_question
from inference.text_embedding import text_embedder_for
from tests.training.chat.conftest import question
from training.chat.questions import AskedQuestion, read_questions
from training.chat.rules import fit_choice, fit_decline
from training.chat.settings import ChatSettings


@pytest.fixture
def model(settings: ChatSettings) -> ChatModel:
    """The tiny base, which knows one question of the training."""
    base = ChatModel.load_base(settings.base, prompt=settings.prompt, answers=settings.answers)
    embed = text_embedder_for(settings.answers.text_embedder).encode
    base.familiarity = Familiarity.of([ChatPassage(source="Wool", text="Wash wool.")], ["May I wash wool?"], embed)
    return base


def asked(similarity: float, *, inside: bool) -> AskedQuestion:
    """A question whose one passage is so near."""
    message = {"role": "user", "content": "How do I wash wool?"}
    row = question("q", [message], ["wool"], [["30 degrees"]]) if inside else question("q", [message])
    passage = ChatPassage(source="Wool", text="Wash wool at 30 degrees. Dry it.", similarity=similarity)
    return AskedQuestion(row=row, messages=[message], passages=[passage], pages=["wool"])


def declined(rule: DeclineRule | None, model: ChatModel, questions: list[AskedQuestion]) -> np.ndarray:
    assert rule is not None
    return np.array(
        [rule.holds(*model.question_signs(whole_question(one.messages), one.passages)) for one in questions]
    )


def test_a_choice_is_fitted_to_what_says_a_key_fact(model: ChatModel, prepared: Path, settings: ChatSettings) -> None:
    questions = read_questions(prepared, "validation", settings)
    rule = fit_choice(model, questions)
    assert rule.in_context > 0
    right, wrong = [], []
    for one in questions:
        if one.in_scope:
            prompt = model.prompts.choice_prompt(one.messages, one.passages)
            scores = rule.scores(model.signs(prompt))
            for sentence, score in zip(prompt.sentences, scores, strict=True):
                held = any(says(sentence.text, wording) for fact in one.row.must_hold for wording in fact)
                (right if held else wrong).append(score)
    assert np.mean(right) > np.mean(wrong)
    # Questions out of scope have no part in it.
    assert fit_choice(model, [one for one in questions if one.in_scope]) == rule


def test_without_two_kinds_of_sentences_the_choice_is_the_default(model: ChatModel) -> None:
    assert fit_choice(model, []) == ChoiceRule()
    assert fit_choice(model, [asked(0.5, inside=False)]) == ChoiceRule()
    blank = [ChatPassage(source="Wool", text=" ")]
    one = asked(0.5, inside=True)
    assert fit_choice(
        model, [AskedQuestion(row=one.row, messages=one.messages, passages=blank, pages=["wool"])]
    ) == ChoiceRule()  # fmt: skip


def test_questions_that_a_sign_parts_are_declined_rightly(model: ChatModel) -> None:
    questions = [
        asked(value, inside=value > 0.5)
        for value in np.concatenate((np.linspace(0.7, 0.9, 12), np.linspace(0.1, 0.3, 12)))
    ]
    rule = fit_decline(model, questions, 0.0)
    assert declined(rule, model, questions).tolist() == [False] * 12 + [True] * 12


@pytest.mark.parametrize("limit", [0.0, 0.05, 0.1, 0.5])
def test_no_more_questions_inside_are_declined_than_allowed(model: ChatModel, limit: float) -> None:
    generator = np.random.default_rng(4)
    inside = generator.random(40) < 0.7
    similarities = generator.normal(size=40) + np.where(inside, 0.5, -0.5)
    questions = [asked(float(value), inside=bool(one)) for value, one in zip(similarities, inside, strict=True)]
    told = declined(fit_decline(model, questions, limit), model, questions)
    # The limit holds for scores of questions that a fit had not seen; the last fit has seen all.
    assert told[inside].sum() <= int(limit * inside.sum()) + 1
    if limit >= 0.1:
        assert told[~inside].mean() > told[inside].mean()


def test_without_two_kinds_of_questions_nothing_is_declined(model: ChatModel) -> None:
    for questions in ([], [asked(0.5, inside=True)], [asked(0.1, inside=False)]):
        assert fit_decline(model, questions, 0.1) is None


def test_signs_that_say_nothing_decline_nothing(model: ChatModel) -> None:
    questions = [asked(0.5, inside=inside) for inside in (True, False) * 4]
    assert not declined(fit_decline(model, questions, 0.0), model, questions).any()
