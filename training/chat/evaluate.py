"""Held-out loss of an adapter and of its base on the same prompts: weights as served, passages as in training.

The passages hold what supports the answer (see `training.chat.passages`), so reading is evaluated; `answer_loss_retrieved`
says what is left of it without that guarantee. How well the index finds passages is judged where it is built.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inference.chat.artifact import read_chat_artifact
from inference.chat.model import ChatModel
from inference.chat.prompt import PromptBuilder
from training.chat.data import Case, read_cases
from training.chat.metrics import char_probability, judged_answers, loss_reduction_interval, slice_members
from training.chat.settings import ChatSettings
from training.context import Evaluation
from training.device import training_device
from training.judged import judging_half, reported_half

_UNCUT_TOKENS = 1_000_000


def evaluate(artifact_dir: Path, data_dir: Path, settings: ChatSettings, seed: int) -> Evaluation:
    """Metrics on the test split, through `inference.chat`; the prompts are built as the artifact says.

    Metrics, all over whole answers, of the reported half of the conversations:
        char_probability: exp(-nats of the answers / characters of the answers), in (0, 1]: the geometric mean of the
            probability per character. The end tokens' nats count to the text. Whatever tokenizer, base and prompt an
            artifact has, it is asked for the same characters, so this one compares artifacts.
        answer_loss, base_answer_loss: nats per answer token, of the adapter and of its base.
        answer_loss_retrieved: of the adapter, with the passages that the question alone finds, right or wrong.
        loss_reduction: 1 - answer_loss / base_answer_loss: what the adapter adds to its own base, and comparable for that
            base and prompt alone; `loss_reduction_low` and `_high` are its 95 % interval over the conversations
            (bootstrap with `seed`).
        perplexity, base_perplexity: exp of the two losses.

    Slices: `char_probability` per topic and for first and later answers, where there are at least three. `n` counts
    answers.

    Judged by `char_probability` and `loss_reduction` of the other half, conversation by conversation. The control is the base
    without an adapter.

    Raises:
        ArtifactError: the artifact is incomplete, or its base cannot be had.
        DataError: the test split is missing or broken.
    """
    device = training_device(settings)
    config, prompt = read_chat_artifact(artifact_dir)
    tuned = ChatModel.load(artifact_dir, device)
    # Where an answer would be cut depends on the tokenizer; two artifacts must be scored on the same characters.
    builder = PromptBuilder(tuned.tokenizer, prompt.model_copy(update={"answer_tokens": _UNCUT_TOKENS}))
    everything = read_cases(data_dir, "test", builder, settings)
    conversations = list(dict.fromkeys(case.conversation for case in everything))
    judges = judging_half(conversations)
    cases, judging = (
        _of_conversations(everything, {conversations[row] for row in np.flatnonzero(chosen)})
        for chosen in (reported_half(judges), judges)
    )
    examples, judging_examples = [case.example for case in cases], [case.example for case in judging]
    after = tuned.answer_nats(examples, settings.score_batch_tokens)
    judging_after = tuned.answer_nats(judging_examples, settings.score_batch_tokens)
    unaided = _unaided_nats(tuned, builder, cases, after, settings.score_batch_tokens)
    del tuned
    base = ChatModel.load_base(config.base, device, prompt=prompt)
    before = base.answer_nats(examples, settings.score_batch_tokens)
    judging_before = base.answer_nats(judging_examples, settings.score_batch_tokens)
    tokens = sum(len(example.answer_ids) for example in examples)
    low, high = loss_reduction_interval(cases, before, after, seed)
    metrics = {
        "char_probability": char_probability(cases, after),
        "answer_loss": sum(after) / tokens,
        "answer_loss_retrieved": sum(unaided) / tokens,
        "base_answer_loss": sum(before) / tokens,
        "loss_reduction": 1 - sum(after) / sum(before),
        "loss_reduction_low": low,
        "loss_reduction_high": high,
        "perplexity": math.exp(sum(after) / tokens),
        "base_perplexity": math.exp(sum(before) / tokens),
    }
    members = slice_members(cases)
    return Evaluation(
        metrics=metrics,
        slices={
            kind: {
                name: char_probability([cases[i] for i in rows], [after[i] for i in rows]) for name, rows in of.items()
            }
            for kind, of in members.items()
        },
        slice_sizes={kind: {name: len(rows) for name, rows in of.items()} for kind, of in members.items()},
        n=len(cases),
        judged=judged_answers(judging, judging_after, judging_before),
        controls={"base": judged_answers(judging, judging_before, judging_before)},
    )


def _of_conversations(cases: Sequence[Case], conversations: set[str]) -> list[Case]:
    return [case for case in cases if case.conversation in conversations]


def _unaided_nats(
    model: ChatModel, builder: PromptBuilder, cases: Sequence[Case], aided: Sequence[float], batch_tokens: int
) -> list[float]:
    """Nats per answer with the retrieved passages alone; `aided` where these include the supporting passage."""
    missed = [index for index, case in enumerate(cases) if case.retrieved != case.passages]
    examples = [builder.example(cases[index].messages, cases[index].retrieved) for index in missed]
    nats = list(aided)
    for index, value in zip(missed, model.answer_nats(examples, batch_tokens), strict=True):
        nats[index] = value
    return nats
