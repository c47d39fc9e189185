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

    metric: Literal["loss_reduction"] = "loss_reduction"
    compare: Literal["char_probability", "loss_reduction"] = "char_probability"
    """`loss_reduction` is relative to the base and prompt of each artifact; artifacts of different bases can only be
    compared by the probability of the text."""
    max_slice_drop: float = Field(default=0.05, gt=0)
    """Slices are `char_probability`; 0.05 less is a tenth more loss."""


def _train(settings: ChatSettings, context: TrainContext) -> dict[str, float]:
    with heavy_imports():
        from training.chat.train import train

    return train(settings, context)


def _evaluate(artifact_dir: Path, data_dir: Path, settings: ChatSettings, seed: int) -> Evaluation:
    with heavy_imports():
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
        "loss_reduction": "1 - answer_loss / base_answer_loss; higher is better",
        "loss_reduction_low": "lower end of its 95 % interval over conversations",
        "loss_reduction_high": "upper end of its 95 % interval over conversations",
        "char_probability": "geometric mean probability per character of the answers; 0 to 1, higher is better",
        "answer_loss": "nats per answer token; lower is better",
        "answer_loss_retrieved": "the same with only the passages that the question finds; lower is better",
        "base_answer_loss": "nats per answer token of the base model",
        "perplexity": "exp of answer_loss; lower is better",
        "base_perplexity": "exp of base_answer_loss",
    },
    slice_metric="char_probability",
)
