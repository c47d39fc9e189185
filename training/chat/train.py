"""Train the adapter: best checkpoint by loss on the validation split, rules of its answers, artifact, metrics, plots."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from aura.paths import cache_dir
from aura.prepared_rows import DialogueRow, read_rows
from inference.chat.artifact import ChatConfig, write_chat_artifact
from inference.chat.base import count_parameters, load_tokenizer, resolve_base
from inference.chat.familiarity import Familiarity
from inference.chat.model import ChatModel
from inference.chat.passages import whole_question
from inference.chat.prompt import PROMPT_VERSION, PromptBuilder
from inference.text_embedding import text_embedder_for
from training.chat.data import Case, ChatDataModule
from training.chat.module import ChatModule
from training.chat.passages import PassageFinder
from training.chat.plots import CurveRecorder, LossCurve, ShownAnswer, draw_answers, draw_curve
from training.chat.qlora import build_model
from training.chat.questions import read_questions
from training.chat.rules import fit_rules
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


def train(settings: ChatSettings, context: TrainContext) -> dict[str, float]:
    """Train, or resume, fit the rules of answers, and write the artifact and the plots; see `training.context.TrainContext`.

    Returns:
        `loss_as_trained` on the validation split: base in NF4; nats per choice, or per token of answers in the model's own
        words. Answers are judged by `training.chat.evaluate`.

    Raises:
        DataError: the prepared data is missing or broken.
        ArtifactError: the base is not available, or the adapter does not fit it.
        FloatingPointError: the loss is not finite.
    """
    base_folder = resolve_base(settings.base, cache_dir())
    settings = settings.model_copy(
        update={"answers": settings.answers.resolved(count_parameters(base_folder))}, deep=True
    )
    fitted = _fit(settings, base_folder, context)
    _write_familiarity(context, settings)
    # Trainer and module reference each other: the quantised model is freed when this cycle is collected, and a laptop has
    # no memory for it beside the served models.
    gc.collect()
    device = training_device(settings)
    questions = read_questions(context.data_dir, "validation", settings)
    tuned = ChatModel.load(context.out_dir, device)
    fit_rules(tuned, context.out_dir, questions, settings)
    shown = _shown(fitted.val_cases, settings.shown_answers)
    after = [_said(tuned, case) for case in shown]
    base = ChatModel.load_base(
        settings.base, device, prompt=settings.prompt, generation=settings.generation, answers=settings.answers
    )
    draw_curve(context.plots_dir / "loss.png", fitted.curve)
    draw_answers(
        context.plots_dir,
        [
            ShownAnswer(case.messages[-2]["content"], _said(base, case), said, case.messages[-1]["content"])
            for case, said in zip(shown, after, strict=True)
        ],
    )
    return {"loss_as_trained": fitted.validation_loss}


def _fit(settings: ChatSettings, base_folder: Path, context: TrainContext) -> FitResult:
    """Train, or resume, and write the best checkpoint's artifact; `validation_loss` is that checkpoint's, as trained."""
    recorder = CurveRecorder()
    # Seeds everything, so it comes before the adapter's random weights.
    trainer = build_trainer(settings, context, monitor="val/loss", mode="min", callbacks=[recorder])
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
    data = ChatDataModule(context.data_dir, builder, settings, context.seed, quoted=settings.answers.way == "quoted")
    trainer.fit(module, datamodule=data, ckpt_path=resume_path(context))
    if not data.val_cases:
        data.setup("validate")
    best = best_checkpoint(trainer)
    _load_best(module, best)
    config = ChatConfig(
        base=settings.base, lora=settings.lora, prompt_version=PROMPT_VERSION, generation=settings.generation,
        answers=settings.answers,
    )  # fmt: skip
    write_chat_artifact(context.out_dir, model, config, settings.prompt)
    score = getattr(trainer.checkpoint_callback, "best_model_score", None)
    if score is None:
        raise ValueError("the checkpoint callback did not keep the best loss")
    return FitResult(data.val_cases, recorder.curve, float(score))


def _write_familiarity(context: TrainContext, settings: ChatSettings) -> None:
    """What the pages and the questions of the training hold, for the rule of declining."""
    rows = read_rows(context.data_dir / "chat" / "train.jsonl", DialogueRow)
    conversations = [[message.model_dump() for message in row.messages] for row in rows]
    questions = [
        whole_question(messages[:end])
        for messages in conversations
        for end, message in enumerate(messages)
        if message["role"] == "assistant"
    ]
    with PassageFinder(context.data_dir / "knowledge" / "pages", settings.retrieval) as finder:
        embed = text_embedder_for(settings.answers.text_embedder).encode
        Familiarity.of(finder.passages(), questions, embed).save(context.out_dir)


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


def _said(model: ChatModel, case: Case) -> str:
    return " ".join(sentence.text for sentence in model.answer(case.messages[:-1], case.passages))
