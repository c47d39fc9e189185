"""Fit the rules of an answer on the validation questions: which sentences answer, and when to decline."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from aura.wording import says
from inference.chat.choosing import ChoiceRule
from inference.chat.familiarity import SIGNS, DeclineRule
from inference.chat.model import ChatModel
from inference.chat.passages import whole_question
from training.chat.questions import AskedQuestion


def fit_choice(model: ChatModel, questions: Sequence[AskedQuestion]) -> ChoiceRule:
    """Logistic regression of "the sentence says a key fact" on its signs; the default where nothing can be learnt.

    Args:
        questions: those out of scope are left out, as none of their sentences answers.
    """
    inputs, held = [], []
    for question in questions:
        prompt = model.choice_prompt(question.messages, question.passages)
        if question.in_scope and prompt.sentences:
            signs = model.signs(prompt)
            inputs.append(np.column_stack((signs.posterior, signs.similarity)))
            held += [_holds(sentence.text, question) for sentence in prompt.sentences]
    if len(set(held)) < 2:
        return ChoiceRule()
    fitted = LogisticRegression(C=100.0).fit(np.concatenate(inputs), held)
    posterior, similarity = map(float, fitted.coef_[0])
    return ChoiceRule(intercept=float(fitted.intercept_[0]), posterior=posterior, similarity=similarity)


def fit_decline(model: ChatModel, questions: Sequence[AskedQuestion], max_false_refusals: float) -> DeclineRule:
    """Logistic regression of "out of scope" on the signs of a question, with the intercept that the limit allows.

    Args:
        max_false_refusals: largest share of the questions in scope that may be declined; of the others, as many are declined as
            that allows.
    """
    inside = np.array([question.in_scope for question in questions], dtype=bool)
    if inside.all() or not inside.any():
        return DeclineRule()
    told = [model.question_signs(whole_question(question.messages), question.passages) for question in questions]
    signs = np.array([[of[name] for name in SIGNS] for of in told])
    # Columns of one size, so that the penalty treats them alike.
    scale = signs.std(axis=0) + 1e-9
    weights = LogisticRegression(class_weight="balanced").fit(signs / scale, ~inside).coef_[0] / scale
    scores = signs @ weights
    # A question is declined above the score of all but the allowed number of questions inside, half-way to the next one outside.
    limit = np.sort(scores[inside])[::-1][int(max_false_refusals * inside.sum())]
    above = scores[~inside][scores[~inside] > limit]
    threshold = (limit + above.min()) / 2 if len(above) else limit
    return DeclineRule(intercept=-float(threshold), weights=dict(zip(SIGNS, map(float, weights), strict=True)))


def _holds(sentence: str, question: AskedQuestion) -> bool:
    return any(says(sentence, wording) for fact in question.row.must_hold for wording in fact)
