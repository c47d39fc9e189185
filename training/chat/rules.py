"""Fit the rules of an answer on the validation questions; see `inference.chat.choosing`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from aura.wording import says
from inference.chat.choosing import ChoiceRule, DeclineRule, Signs
from inference.chat.model import ChatModel
from inference.chat.passages import nearest
from training.chat.questions import AskedQuestion


def fit_rules(
    model: ChatModel, questions: Sequence[AskedQuestion], max_false_refusals: float
) -> tuple[ChoiceRule, DeclineRule]:
    """Both rules of a model, from what it says to some questions; the defaults where nothing can be learnt from them.

    Args:
        max_false_refusals: largest share of the questions in scope that may be declined; of the others, as many are declined as
            that allows.
    """
    inside = np.array([question.in_scope for question in questions], dtype=bool)
    similarities = np.array([[nearest(question.passages)] for question in questions])
    if model.answers.way == "free":
        return ChoiceRule(), _fit_decline(similarities, inside, max_false_refusals)
    signs, holds = [], []
    for question in questions:
        prompt = model.prompts.choice_prompt(question.messages, question.passages)
        signs.append(model.signs(prompt))
        holds.append(np.array([_holds(sentence.text, question) for sentence in prompt.sentences]))
    choice = _fit_choice(
        [sign for sign, within in zip(signs, inside, strict=True) if within],
        [held for held, within in zip(holds, inside, strict=True) if within],
    )
    scores = [choice.scores(sign) for sign in signs]
    best = [score.max() for score in scores]
    nats = [sign.nats_per_token[score.argmax()] for sign, score in zip(signs, scores, strict=True)]
    columns = np.column_stack((similarities, best, nats)) if signs else np.zeros((0, 3))
    return choice, _fit_decline(columns, inside, max_false_refusals)


def _holds(sentence: str, question: AskedQuestion) -> bool:
    return any(says(sentence, wording) for fact in question.row.must_hold for wording in fact)


def _fit_choice(signs: Sequence[Signs], holds: Sequence[np.ndarray]) -> ChoiceRule:
    held = np.concatenate(holds) if holds else np.zeros(0, dtype=bool)
    if not held.any() or held.all():
        return ChoiceRule()
    inputs = np.column_stack(
        [np.concatenate([getattr(sign, name) for sign in signs]) for name in ("posterior", "similarity")]
    )
    fitted = LogisticRegression(C=100.0).fit(inputs, held)
    posterior, similarity = map(float, fitted.coef_[0])
    return ChoiceRule(intercept=float(fitted.intercept_[0]), posterior=posterior, similarity=similarity)


def _fit_decline(signs: np.ndarray, inside: np.ndarray, max_false_refusals: float) -> DeclineRule:
    """Logistic regression of being outside on `signs` (questions, up to 3), with the intercept that the limit allows."""
    if inside.all() or not inside.any():
        return DeclineRule()
    # Columns of one size, so that the penalty treats them alike.
    scale = signs.std(axis=0) + 1e-9
    weights = LogisticRegression(class_weight="balanced").fit(signs / scale, ~inside).coef_[0] / scale
    allowed = int(max_false_refusals * inside.sum())
    # A question is declined above the score of all but the allowed number of questions inside; half-way to the next one outside.
    limit = np.sort(signs[inside] @ weights)[::-1][allowed]
    above = (signs[~inside] @ weights)[signs[~inside] @ weights > limit]
    threshold = (limit + above.min()) / 2 if len(above) else limit
    similarity, best, nats = (*map(float, weights), 0.0, 0.0)[:3]
    return DeclineRule(intercept=-float(threshold), similarity=similarity, best=best, nats=nats)
