"""Fit the rules of an answer on the validation questions: which sentences answer, and when to decline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from aura.wording import says
from inference.chat.artifact import read_chat_artifact, write_chat_config
from inference.chat.choosing import ChoiceRule
from inference.chat.familiarity import SIGNS, DeclineRule
from inference.chat.model import ChatModel
from inference.chat.passages import whole_question
from training.chat.questions import AskedQuestion
from training.chat.settings import ChatSettings

_FOLDS = 10
_DECLINE_C = 0.1
"""Inverse strength of the penalty; from 0.03 to 0.3 cross-validation gives the same."""


def fit_rules(model: ChatModel, folder: Path, questions: Sequence[AskedQuestion], settings: ChatSettings) -> None:
    """Fit the rules on what the artifact says as it is served; the model follows them from now on, and so does its folder.

    Raises:
        ArtifactError: the folder holds no artifact of this model.
    """
    model.declines = fit_decline(model, questions, settings.max_false_refusals)
    if model.answers.way == "quoted":
        model.choice = fit_choice(model, questions)
    config, _ = read_chat_artifact(folder)
    write_chat_config(folder, config.model_copy(update={"declines": model.declines, "choice": model.choice}))


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
            # The cosine of the bare sentence tells nothing more beside that of the sentence below its heading.
            inputs.append(np.column_stack((signs.posterior, signs.in_context, signs.lag)))
            held += [_holds(sentence.text, question) for sentence in prompt.sentences]
    if len(set(held)) < 2:
        return ChoiceRule()
    fitted = LogisticRegression(C=100.0).fit(np.concatenate(inputs), held)
    posterior, in_context, lag = map(float, fitted.coef_[0])
    return ChoiceRule(intercept=float(fitted.intercept_[0]), posterior=posterior, in_context=in_context, lag=lag)


def fit_decline(model: ChatModel, questions: Sequence[AskedQuestion], max_false_refusals: float) -> DeclineRule:
    """Logistic regression of "out of scope" on a question's signs and embedding, with the intercept that the limit allows.

    The intercept is set on scores of questions that a fit had not seen (cross-validation), as the embedding has more weights than
    there are questions.

    Args:
        max_false_refusals: largest share of the questions in scope that may be declined; of the others, as many are declined as
            that allows.
    """
    inside = np.array([question.in_scope for question in questions], dtype=bool)
    folds = int(min(_FOLDS, inside.sum(), (~inside).sum()))
    if folds < 2:
        return DeclineRule()
    asked = [whole_question(question.messages) for question in questions]
    model.embedder.encode(asked)  # ahead, all at once
    told = [model.question_signs(text, question.passages) for text, question in zip(asked, questions, strict=True)]
    signs = np.array([[of[name] for name in SIGNS] for of, _ in told])
    vectors = np.array([vector for _, vector in told])
    # Signs of one size, and the embedding's columns of one size together, so that the penalty treats all alike.
    scale = np.concatenate((signs.std(axis=0) + 1e-9, np.full(vectors.shape[1], vectors.std() + 1e-9)))
    inputs = np.column_stack((signs, vectors)) / scale
    regression = LogisticRegression(C=_DECLINE_C, class_weight="balanced", max_iter=2000)
    parts = StratifiedKFold(folds, shuffle=True, random_state=0)
    unseen = cross_val_predict(regression, inputs, ~inside, cv=parts, method="decision_function")
    fitted = regression.fit(inputs, ~inside)
    weights = fitted.coef_[0] / scale
    # Declined is what lies above all but the allowed number of questions inside.
    limit = np.sort(unseen[inside])[::-1][int(max_false_refusals * inside.sum())]
    return DeclineRule(
        intercept=float(fitted.intercept_[0] - limit),
        weights=dict(zip(SIGNS, map(float, weights), strict=False)),
        direction=tuple(float(weight) for weight in weights[len(SIGNS) :]),
    )


def _holds(sentence: str, question: AskedQuestion) -> bool:
    return any(says(sentence, wording) for fact in question.row.must_hold for wording in fact)
