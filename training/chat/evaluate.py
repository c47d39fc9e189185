"""Answers of an adapter to held-out questions, as served: retrieved passages, the artifact's rules, each answer held against its
key facts. Loss is a curve of the training; here counts what a user reads.

Two controls choose as many sentences for each question as the adapter does, where it does not decline: the first ones of the
passages, and those that the base without an adapter finds likeliest. They differ from it in the choice alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from inference.chat.answer import DECLINED, AnswerSentence
from inference.chat.artifact import read_chat_artifact
from inference.chat.choosing import PassageSentence, chosen_sentences
from inference.chat.model import ChatModel
from inference.chat.prompt import ChoicePrompt
from training.chat.metrics import (
    answer_metrics,
    facts_in_passages,
    judged_answers,
    slice_members,
    slice_truthfulness,
)
from training.chat.questions import (
    AskedQuestion,
    JudgedAnswer,
    answers_of,
    judge_answers,
    read_questions,
    require_questions,
)
from training.chat.settings import ChatSettings
from training.context import Evaluation
from training.device import training_device
from training.judged import JudgedCases, judging_half, reported_half

Choose = Callable[[AskedQuestion, int], Sequence[PassageSentence]]
"""(question, number of sentences) to the sentences, in the order in which they are told."""


def evaluate(artifact_dir: Path, data_dir: Path, settings: ChatSettings, seed: int) -> Evaluation:  # noqa: ARG001
    """Metrics of the answers to the test questions; see `training.chat.metrics`.

    Of the reported half also `facts_in_passages`, the share of the key facts that the passages hold. Slices: `truthfulness` per
    kind of question. Judged on the other half. Controls: see the module. Nothing is drawn, so `seed` has no part in it.

    Raises:
        ArtifactError: the artifact is incomplete, or its base cannot be had.
        DataError: the test questions are missing or broken, or there are none.
    """
    questions = read_questions(data_dir, "test", settings, settings.evaluated_questions)
    require_questions(questions, "test")
    answers = answers_of(ChatModel.load(artifact_dir, training_device(settings)), questions)
    judges = judging_half([question.row.id for question in questions])
    reported, judging = ([answers[row] for row in np.flatnonzero(chosen)] for chosen in (reported_half(judges), judges))
    return Evaluation(
        metrics=answer_metrics(reported) | {"facts_in_passages": facts_in_passages(reported)},
        slices=slice_truthfulness(reported),
        slice_sizes={
            kind: {name: len(rows) for name, rows in of.items()} for kind, of in slice_members(reported).items()
        },
        n=len(reported),
        judged=judged_answers(judging),
        controls=lambda: controls(judging, artifact_dir, settings),
    )


def controls(answers: Sequence[JudgedAnswer], artifact_dir: Path, settings: ChatSettings) -> Mapping[str, JudgedCases]:
    """What chooses as many sentences without an adapter; only for quoted answers, which are chosen.

    Raises:
        ArtifactError: the artifact is incomplete, or its base cannot be had.
    """
    config, prompt = read_chat_artifact(artifact_dir)
    if config.answers.way != "quoted":
        return {}
    base = ChatModel.load_base(config.base, training_device(settings), prompt=prompt, answers=config.answers)
    chosen: Mapping[str, Choose] = {
        "first sentences": lambda question, count: first_sentences(base, question, count),
        "base": lambda question, count: likeliest(base, question, count),
    }
    return {name: judged_answers(as_many(answers, choose)) for name, choose in chosen.items()}


def as_many(answers: Sequence[JudgedAnswer], choose: Choose) -> list[JudgedAnswer]:
    """Answers of as many sentences, chosen otherwise."""
    counts = {answer.question.row.id: 0 if answer.declined else len(answer.sentences) for answer in answers}

    def answered(question: AskedQuestion) -> list[AnswerSentence]:
        count = counts[question.row.id]
        if not count:
            return [DECLINED]
        return [AnswerSentence(chosen.text, chosen.passage, "quoted") for chosen in choose(question, count)]

    return judge_answers([answer.question for answer in answers], answered)


def first_sentences(model: ChatModel, question: AskedQuestion, count: int) -> list[PassageSentence]:
    """The first sentences of the passages."""
    return model.prompts.choice_prompt(question.messages, question.passages).sentences[:count]


def likeliest(model: ChatModel, question: AskedQuestion, count: int) -> list[PassageSentence]:
    """The sentences behind which a model finds the question likeliest."""
    prompt = model.candidates(model.prompts.choice_prompt(question.messages, question.passages))
    return _best(prompt, model.signs(prompt).posterior, count)


def nearest_sentences(model: ChatModel, question: AskedQuestion, count: int) -> list[PassageSentence]:
    """The sentences whose embeddings are nearest to the question's."""
    prompt = model.prompts.choice_prompt(question.messages, question.passages)
    return _best(prompt, model.similarities(prompt), count)


def _best(prompt: ChoicePrompt, scores: np.ndarray, count: int) -> list[PassageSentence]:
    places = chosen_sentences(prompt.sentences, scores, most=count)
    return [prompt.sentences[place] for place in places]
