"""Train the adapter: best checkpoint by loss on the validation answers, artifact, metrics as served, plots."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from aura.paths import cache_dir
from inference.chat.artifact import ChatConfig, write_chat_artifact
from inference.chat.base import load_tokenizer, resolve_base
from inference.chat.model import ChatModel
from inference.chat.prompt import PROMPT_VERSION, PromptBuilder
from training.chat.data import Case, ChatDataModule
from training.chat.module import ChatModule
from training.chat.plots import CurveRecorder, LossCurve, ShownAnswer, draw_answers, draw_curve
from training.chat.qlora import build_model
from training.chat.settings import ChatSettings
from training.chat.warm_start import load_champion
from training.context import TrainContext
from training.device import training_device
from training.trainer import best_checkpoint, build_trainer, resume_path


@dataclass(frozen=True)
class FitResult:
    """Plain values that outlive a fit: trainer, module, data module and callbacks keep the quantised model in memory."""

    val_cases: Sequence[Case]
    curve: LossCurve
    validation_loss: float


@dataclass(frozen=True)
class ServedResult:
    """A model as it is served, on the validation split: nats per answer token, and what it says to some questions."""

    loss: float
    answers: list[str]


def train(settings: ChatSettings, context: TrainContext) -> dict[str, float]:
    """Train, or resume, and write the artifact and the plots; see `training.context.TrainContext`.

    Returns:
        On the validation split, in nats per answer token: `answer_loss` and `base_answer_loss` as served (base not
        quantised), `loss_reduction`, the share of the base's loss that the adapter takes away, and
        `answer_loss_as_trained` (base in NF4).

    Raises:
        DataError: the prepared data is missing or broken.
        ArtifactError: the base is not available, or the adapter does not fit it.
        FloatingPointError: the loss is not finite.
    """
    fitted = _fit(settings, context)
    # Trainer and module reference each other: the quantised model is freed when this cycle is collected, and a laptop has
    # no memory for it beside the served models.
    gc.collect()
    cases = fitted.val_cases
    shown = _shown(cases, settings.shown_answers)
    device = training_device(settings)
    base = _evaluate_served(
        ChatModel.load_base(settings.base, device, prompt=settings.prompt, generation=settings.generation),
        cases, shown, settings.score_batch_tokens,
    )  # fmt: skip
    tuned = _evaluate_served(ChatModel.load(context.out_dir, device), cases, shown, settings.score_batch_tokens)
    draw_curve(context.plots_dir / "loss.png", fitted.curve, base_loss=base.loss)
    draw_answers(
        context.plots_dir,
        [
            ShownAnswer(case.messages[-2]["content"], before, after, case.messages[-1]["content"])
            for case, before, after in zip(shown, base.answers, tuned.answers, strict=True)
        ],
    )
    return {
        "answer_loss": tuned.loss,
        "base_answer_loss": base.loss,
        "loss_reduction": 1 - tuned.loss / base.loss,
        "answer_loss_as_trained": fitted.validation_loss,
    }


def _fit(settings: ChatSettings, context: TrainContext) -> FitResult:
    """Train, or resume, and write the best checkpoint's artifact; `validation_loss` is that checkpoint's, as trained."""
    recorder = CurveRecorder()
    # Seeds everything, so it comes before the adapter's random weights.
    trainer = build_trainer(settings, context, monitor="val/loss", mode="min", callbacks=[recorder])
    base_folder = resolve_base(settings.base, cache_dir())
    builder = PromptBuilder(load_tokenizer(base_folder), settings.prompt)
    model = build_model(settings, base_folder)
    warm_started = load_champion(model, settings, context.base_dir)
    module = ChatModule(
        model,
        # A full learning rate would undo what the champion has learnt.
        learning_rate=settings.learning_rate * (settings.warm_start_rate if warm_started else 1.0),
        weight_decay=settings.weight_decay,
        warmup_fraction=settings.warmup_fraction,
    )
    module.train()
    data = ChatDataModule(context.data_dir, builder, settings, context.seed)
    trainer.fit(module, datamodule=data, ckpt_path=resume_path(context))
    if not data.val_cases:
        data.setup("validate")
    best = best_checkpoint(trainer)
    _load_best(module, best)
    config = ChatConfig(
        base=settings.base, lora=settings.lora, prompt_version=PROMPT_VERSION, generation=settings.generation
    )
    write_chat_artifact(context.out_dir, model, config, settings.prompt)
    score = getattr(trainer.checkpoint_callback, "best_model_score", None)
    if score is None:
        raise ValueError("the checkpoint callback did not keep the best loss")
    return FitResult(data.val_cases, recorder.curve, float(score))


def _load_best(module: ChatModule, path: Path) -> None:
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    expected, found = set(module.state_dict()), set(checkpoint["state_dict"])
    if expected != found:
        raise ValueError(
            f"{path.name} holds {len(found)} tensors; the adapter has {len(expected)}, {len(expected - found)} missing"
        )
    module.load_state_dict(checkpoint["state_dict"], strict=False)


def _shown(cases: Sequence[Case], count: int) -> list[Case]:
    """First questions of conversations: one per topic, then the others."""
    first: dict[str, Case] = {}
    for case in cases:
        if case.turn == 0:
            first.setdefault(case.topic, case)
    chosen = list(first.values())
    chosen += [case for case in cases if case.turn == 0 and case not in chosen]
    return chosen[:count]


def _evaluate_served(model: ChatModel, cases: Sequence[Case], shown: list[Case], batch_tokens: int) -> ServedResult:
    nats = model.answer_nats([case.example for case in cases], batch_tokens)
    tokens = sum(len(case.example.answer_ids) for case in cases)
    answers = [model.reply(case.messages[:-1], case.passages).text.strip() for case in shown]
    return ServedResult(sum(nats) / tokens, answers)
