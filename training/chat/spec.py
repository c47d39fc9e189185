"""The chat model as one object; see `training.spec`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from aura.heavy_imports import heavy_imports
from inference.chat.smoke_test import SMOKE_TEST
from training.chat.settings import ChatSettings
from training.context import Evaluation, TrainContext
from training.spec import GateRule, ModelSpec


class ChatGate(GateRule):
    """When an adapter is good enough."""

    metric: Literal["truthfulness", "fact_recall"] = "truthfulness"
    max_slice_drop: float = Field(default=0.15, gt=0)
    """Slices are the truthfulness of each kind of question, from -1 to 1."""


def _train(settings: ChatSettings, context: TrainContext) -> dict[str, float]:
    with heavy_imports(at_start=True):
        from training.chat.train import train

    return train(settings, context)


def _evaluate(artifact_dir: Path, data_dir: Path, settings: ChatSettings, seed: int) -> Evaluation:
    with heavy_imports(at_start=True):
        from training.chat.evaluate import evaluate

    return evaluate(artifact_dir, data_dir, settings, seed)


SPEC = ModelSpec(
    name="chat",
    settings=ChatSettings,
    data_folders=("chat", "knowledge"),
    train=_train,
    evaluate=_evaluate,
    gate=ChatGate,
    smoke_test=SMOKE_TEST,
    metrics={
        "truthfulness": "key facts said, less wrong answers; -1 to 1, higher is better (training.chat.metrics)",
        "fact_recall": "share of the key facts that the answers say; 0 to 1, higher is better",
        "facts_in_passages": "share of the key facts that the retrieved passages hold: the most that fact_recall can reach",
        "contradictions": "share of the answers that say what must not be said; lower is better",
        "unsupported": "share of the sentences that do not stand in the passage that they cite; lower is better",
        "correct_refusals": "share of the questions out of scope that are declined; higher is better",
        "false_refusals": "share of the other questions that are declined; lower is better",
        "citation_precision": "share of the sentences that cite a page that answers; higher is better",
        "sentence_relevance": "share of the sentences that cite a passage that answers; higher is better",
        "answer_relevance": "share of the answers that answer what was asked; higher is better",
        "repetition": "share of the sentences that repeat an earlier one; lower is better",
        "sentences": "sentences per answer",
        "first_sentence_seconds": "median seconds until the first sentence",
        "answer_seconds": "median seconds of an answer",
    },
    slice_metric="truthfulness",
)
