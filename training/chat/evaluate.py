"""Held-out loss of an adapter and of its base on the same prompts, both as they are served."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from inference.chat.artifact import read_chat_artifact
from inference.chat.model import ChatModel
from training.chat.data import Case, read_cases
from training.chat.qlora import training_device
from training.chat.settings import ChatSettings
from training.context import Evaluation

_MIN_SLICE_ANSWERS = 3
_RESAMPLES = 1000


def evaluate(artifact_dir: Path, data_dir: Path, settings: ChatSettings, seed: int) -> Evaluation:
    """Figures on the test split, through `inference.chat`; the prompts are built as the artifact says.

    Metrics: `answer_loss` and `base_answer_loss` in nats per answer token, `loss_reduction` = 1 - answer_loss /
    base_answer_loss, its 95 % interval over the conversations (bootstrap with `seed`), and both perplexities. Slices:
    `loss_reduction` per topic and for first and later answers, where there are at least three. `n` counts answers.

    Raises:
        ArtifactError: the artifact is incomplete, or its base cannot be had.
        DataError: the test split is missing or broken.
    """
    device = training_device(settings)
    config, prompt = read_chat_artifact(artifact_dir)
    tuned = ChatModel.load(artifact_dir, device)
    cases = read_cases(data_dir, "test", tuned.prompts, settings.chunk_max_words)
    examples = [case.example for case in cases]
    after = tuned.answer_nats(examples, settings.score_batch_tokens)
    del tuned
    base = ChatModel.load_base(config.base, device, prompt=prompt)
    before = base.answer_nats(examples, settings.score_batch_tokens)
    tokens = sum(len(example.answer_ids) for example in examples)
    low, high = _interval([case.conversation for case in cases], before, after, seed)
    metrics = {
        "answer_loss": sum(after) / tokens,
        "base_answer_loss": sum(before) / tokens,
        "loss_reduction": 1 - sum(after) / sum(before),
        "loss_reduction_low": low,
        "loss_reduction_high": high,
        "perplexity": math.exp(sum(after) / tokens),
        "base_perplexity": math.exp(sum(before) / tokens),
    }
    return Evaluation(metrics=metrics, slices=_slices(cases, before, after), n=len(cases))


def _interval(
    conversations: Sequence[str], before: Sequence[float], after: Sequence[float], seed: int
) -> tuple[float, float]:
    """2.5 and 97.5 percentiles of the loss reduction when conversations are drawn anew with replacement."""
    names = {name: row for row, name in enumerate(dict.fromkeys(conversations))}
    sums = np.zeros((2, len(names)))
    for name, one_before, one_after in zip(conversations, before, after, strict=True):
        sums[:, names[name]] += one_before, one_after
    drawn = np.random.default_rng(seed).integers(len(names), size=(_RESAMPLES, len(names)))
    reductions = 1 - sums[1][drawn].sum(axis=1) / sums[0][drawn].sum(axis=1)
    low, high = np.percentile(reductions, (2.5, 97.5))
    return float(low), float(high)


def _slices(cases: Sequence[Case], before: Sequence[float], after: Sequence[float]) -> dict[str, dict[str, float]]:
    """Loss reduction per topic and per place in the conversation."""
    rows: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, case in enumerate(cases):
        rows["topic", case.topic].append(index)
        rows["turn", "later" if case.turn else "first"].append(index)
    slices: dict[str, dict[str, float]] = defaultdict(dict)
    for (kind, name), members in sorted(rows.items()):
        if len(members) >= _MIN_SLICE_ANSWERS:
            slices[kind][name] = 1 - sum(after[i] for i in members) / sum(before[i] for i in members)
    return dict(slices)
