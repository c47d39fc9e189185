"""Fit the rules of an answer on the validation questions: which sentences answer, and when to decline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.svm import SVC

from aura.wording import says
from inference.chat.artifact import read_chat_artifact, write_chat_config
from inference.chat.choosing import ChoiceRule
from inference.chat.declining import DeclineRule, question_row
from inference.chat.familiarity import SIGNS
from inference.chat.model import ChatModel
from inference.chat.passages import whole_question
from training.chat.questions import AskedQuestion
from training.chat.settings import ChatSettings

_FOLDS = 10
_EMBEDDING_WEIGHT = 0.2
"""Size of an embedding's column beside a sign's; from 0.2 to 0.4 cross-validation gives the same."""
_USUAL = (2.5, 97.5)
"""Percentiles between which a sign is usual."""
_DECLINE_C = 3.0
"""Inverse strength of the penalty; from 3 on cross-validation gives the same, and 1 is worse."""


def fit_rules(model: ChatModel, folder: Path, questions: Sequence[AskedQuestion], settings: ChatSettings) -> None:
    """Fit the rules on what the artifact says as it is served; the model follows them from now on, and so does its folder.

    Raises:
        ArtifactError: the folder holds no artifact of this model.
    """
    model.declines = fit_decline(model, questions, settings.max_false_refusals)
    if model.declines:
        model.declines.save(folder)
    if model.answers.way == "quoted":
        model.choice = fit_choice(model, questions)
    config, _ = read_chat_artifact(folder)
    write_chat_config(folder, config.model_copy(update={"choice": model.choice}))


def fit_choice(model: ChatModel, questions: Sequence[AskedQuestion]) -> ChoiceRule:
    """Logistic regression of "the sentence says a key fact" on its signs; the default where nothing can be learnt.

    Args:
        questions: those out of scope are left out, as none of their sentences answers.
    """
    inputs, held = [], []
    for question in questions:
        prompt = model.candidates(model.prompts.choice_prompt(question.messages, question.passages))
        if question.in_scope and prompt.sentences:
            signs = model.signs(prompt)
            inputs.append(np.column_stack((signs.posterior, signs.in_context, signs.lag)))
            held += [_holds(sentence.text, question) for sentence in prompt.sentences]
    if len(set(held)) < 2:
        return ChoiceRule()
    fitted = LogisticRegression(C=100.0).fit(np.concatenate(inputs), held)
    posterior, in_context, lag = map(float, fitted.coef_[0])
    return ChoiceRule(intercept=float(fitted.intercept_[0]), posterior=posterior, in_context=in_context, lag=lag)


def fit_decline(model: ChatModel, questions: Sequence[AskedQuestion], max_false_refusals: float) -> DeclineRule | None:
    """Support vectors of "out of scope" among the questions, with the intercept that the limit allows.

    The intercept is set on scores of questions that a fit had not seen (cross-validation), as a fit holds those that it has seen
    apart almost always.

    Args:
        max_false_refusals: largest share of the questions in scope that may be declined; of the others, as many are declined as
            that allows.

    Returns:
        The rule; None where there are not two questions of each kind.
    """
    inside = np.array([question.in_scope for question in questions], dtype=bool)
    folds = int(min(_FOLDS, inside.sum(), (~inside).sum()))
    if folds < 2:
        return None
    asked = [whole_question(question.messages) for question in questions]
    model.embedder.encode(asked)  # ahead, all at once
    rows = np.array(
        [
            question_row(*model.question_signs(text, question.passages))
            for text, question in zip(asked, questions, strict=True)
        ]
    )
    # Signs of one size, and the embedding's columns of one size together: an embedding has far more columns.
    scale = np.full(rows.shape[1], rows[:, len(SIGNS) :].std() / _EMBEDDING_WEIGHT, dtype=np.float32)
    scale[: len(SIGNS)] = rows[:, : len(SIGNS)].std(axis=0) + 1e-6
    low, high = (np.percentile(rows, limit, axis=0).astype(np.float32) for limit in _USUAL)
    inputs = np.clip(rows, low, high) / scale
    gamma = 1.0 / max(float(inputs.var(axis=0).sum()), 1e-6)  # 0 where all questions are the same
    machine = SVC(C=_DECLINE_C, gamma=gamma, class_weight="balanced")
    parts = StratifiedKFold(folds, shuffle=True, random_state=0)
    unseen = cross_val_predict(machine, inputs, ~inside, cv=parts, method="decision_function")
    fitted = machine.fit(inputs, ~inside)
    # Declined is what lies above all but the allowed number of questions inside.
    limit = np.sort(unseen[inside])[::-1][int(max_false_refusals * inside.sum())]
    return DeclineRule(
        low=low, high=high, scale=scale, vectors=fitted.support_vectors_.astype(np.float32),
        coefficients=fitted.dual_coef_[0].astype(np.float32),
        intercept=float(fitted.intercept_[0] - limit), gamma=gamma,
    )  # fmt: skip


def _holds(sentence: str, question: AskedQuestion) -> bool:
    return any(says(sentence, wording) for fact in question.row.must_hold for wording in fact)
