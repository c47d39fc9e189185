"""QLoRA on a tiny base: it learns, resumes to the same weights, saves adapters alone, starts from a champion."""

from __future__ import annotations

import json
import math
import shutil
import warnings
import weakref
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from safetensors.torch import load_file

from aura.errors import ArtifactError
from inference.chat.artifact import WEIGHTS, load_adapter
from inference.chat.base import load_tokenizer
from inference.chat.model import ChatModel
from inference.chat.prompt import PromptBuilder
from inference.chat.scoring import answer_nats
from tests.training.chat.conftest import new_context
from training import judged
from training.chat.data import ChatDataModule, read_cases
from training.chat.evaluate import evaluate
from training.chat.module import ChatModule
from training.chat.plots import CurveRecorder, LossCurve
from training.chat.qlora import build_model
from training.chat.settings import ChatSettings
from training.chat.spec import SPEC
from training.chat.train import train
from training.context import TrainContext
from training.trainer import build_trainer, resume_path


@pytest.fixture(scope="module")
def artifact(
    prepared: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float]]:
    """One whole training, shared by the tests that only look at its result."""
    from tests.training.chat.conftest import settings as settings_fixture

    settings: ChatSettings = settings_fixture.__wrapped__(tiny_base)
    folder = tmp_path_factory.mktemp("trained")
    metrics = train(settings.model_copy(update={"max_epochs": 12}), new_context(prepared, folder))
    return folder, metrics


def module_and_data(settings: ChatSettings, data_dir: Path) -> tuple[ChatModule, ChatDataModule]:
    folder = Path(settings.base)
    module = ChatModule(build_model(settings, folder), learning_rate=1e-2, weight_decay=0.0, warmup_fraction=0.1)
    module.train()
    return module, ChatDataModule(data_dir, PromptBuilder(load_tokenizer(folder), settings.prompt), settings, seed=7)


def test_training_lowers_the_loss_as_trained_and_as_served(artifact: tuple[Path, dict[str, float]]) -> None:
    _, metrics = artifact
    assert metrics["loss_reduction"] > 0.8
    assert metrics["loss_reduction"] == pytest.approx(1 - metrics["answer_loss"] / metrics["base_answer_loss"])
    # The adapter has learnt to make up for what NF4 does to these random weights (much, with 64 channels), so it does
    # best on them; served on whole weights it keeps 94 to 95 % of what was gained (seeds 1, 2, 3 and 7).
    assert metrics["answer_loss_as_trained"] < metrics["answer_loss"]
    gained = metrics["base_answer_loss"] - metrics["answer_loss_as_trained"]
    assert metrics["base_answer_loss"] - metrics["answer_loss"] > 0.88 * gained


def test_the_loss_as_trained_is_that_of_the_artifact_on_the_quantised_base(
    artifact: tuple[Path, dict[str, float]], prepared: Path, settings: ChatSettings
) -> None:
    folder, metrics = artifact
    module, data = module_and_data(settings, prepared)
    load_adapter(module.model, folder / "out")
    data.setup("validate")
    batches = list(data.val_dataloader())
    module.eval()
    with torch.inference_mode():
        nats = sum(float(answer_nats(module.model, batch).sum()) for batch in batches)
    loss = nats / sum(batch.answer_tokens for batch in batches)
    assert loss == pytest.approx(metrics["answer_loss_as_trained"], rel=1e-3)


def test_the_quantised_model_is_gone_before_another_is_loaded(
    settings: ChatSettings, context: TrainContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a resumed training: the second one finds the first one's checkpoint."""
    built: list[weakref.ref[object]] = []
    alive: list[int] = []
    load_base = ChatModel.load_base

    def building(*args: object) -> object:
        model = build_model(*args)
        built.extend(weakref.ref(layer.weight) for layer in model.modules() if isinstance(layer, Linear4bit))
        built.append(weakref.ref(model))
        return model

    def loading(*args: object, **options: object) -> ChatModel:
        alive.append(sum(reference() is not None for reference in built))
        return load_base(*args, **options)

    monkeypatch.setattr("training.chat.train.build_model", building)
    monkeypatch.setattr(ChatModel, "load_base", loading)
    for times in (1, 2):
        assert (resume_path(context) is not None) == (times == 2)
        train(settings, context)
        assert len(built) == times * (2 * 7 + 1)
    assert alive == [0, 0]


def test_artifact_and_plots_are_complete(artifact: tuple[Path, dict[str, float]]) -> None:
    folder, _ = artifact
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {WEIGHTS, "adapter_config.json", "config.json", "preprocess.json", "labels.json"}
    assert all(".lora_" in name for name in load_file(folder / "out" / WEIGHTS))
    plots = {path.name for path in (folder / "plots").iterdir()}
    assert {"loss.png", "answers.png", "answers.md", "history.csv"} <= plots
    shown = (folder / "plots" / "answers.md").read_text(encoding="utf-8")
    assert "How hot may I wash" in shown


def test_the_curve_survives_a_resume_with_the_checkpoint() -> None:
    before, after = CurveRecorder(), CurveRecorder()
    before.curve = LossCurve(steps=[(1, 5.0), (2, 4.0)], validations=[(2, 4.5)])
    after.load_state_dict(before.state_dict())
    assert after.curve == before.curve
    after.curve.steps.append((3, 3.0))
    assert len(before.curve.steps) == 2


def test_evaluation_compares_both_on_the_test_split(
    artifact: tuple[Path, dict[str, float]], prepared: Path, settings: ChatSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = artifact
    result = evaluate(folder / "out", prepared, settings, seed=7)
    assert result.n == 8
    metrics = result.metrics
    assert set(metrics) == set(SPEC.metrics)
    assert metrics["loss_reduction"] == pytest.approx(1 - metrics["answer_loss"] / metrics["base_answer_loss"])
    assert metrics["loss_reduction_low"] <= metrics["loss_reduction"] <= metrics["loss_reduction_high"]
    assert set(result.slices) == {"topic", "turn"}
    assert set(result.slices["topic"]) == {"seasons"}
    assert result.slice_sizes == {"topic": {"seasons": 4}, "turn": {"first": 6}}
    assert evaluate(folder / "out", prepared, settings, seed=7) == result
    # So few conversations are not parted.
    assert result.judged.values["char_probability"] == pytest.approx(metrics["char_probability"])
    assert result.judged.values["loss_reduction"] == pytest.approx(metrics["loss_reduction"])
    assert result.judged.sizes == {"topic seasons": 4, "turn first": 6}
    assert result.controls["base"].values["loss_reduction"] == 0
    monkeypatch.setattr(judged, "_MIN_HALF", 1)
    parted = evaluate(folder / "out", prepared, settings, seed=7)
    assert 0 < len(parted.judged.cases) < len(result.judged.cases)
    assert parted.n < result.n


def test_what_compares_artifacts_is_the_probability_per_character_of_the_answers(
    artifact: tuple[Path, dict[str, float]], prepared: Path, settings: ChatSettings
) -> None:
    folder, _ = artifact
    result = evaluate(folder / "out", prepared, settings, seed=7)
    model = ChatModel.load(folder / "out")
    cases = read_cases(prepared, "test", model.prompts, settings)
    nats = model.answer_nats([case.example for case in cases])
    characters = [len(case.messages[-1]["content"]) for case in cases]
    probability = math.exp(-sum(nats) / sum(characters))
    assert 0 < probability < 1
    assert result.metrics["char_probability"] == pytest.approx(probability, rel=1e-4)
    of_silk = [row for row, case in enumerate(cases) if case.topic == "seasons"]
    expected = math.exp(-sum(nats[row] for row in of_silk) / sum(characters[row] for row in of_silk))
    assert result.slices["topic"]["seasons"] == pytest.approx(expected, rel=1e-4)


def test_an_artifact_that_cuts_answers_in_training_is_judged_on_whole_ones(
    artifact: tuple[Path, dict[str, float]], prepared: Path, settings: ChatSettings, tmp_path: Path
) -> None:
    """Where a cut falls depends on the tokenizer; nats of a cut answer over all characters would look too good."""
    cutting = Path(shutil.copytree(artifact[0] / "out", tmp_path / "cutting"))
    prompt = json.loads((cutting / "preprocess.json").read_text())
    (cutting / "preprocess.json").write_text(json.dumps(prompt | {"answer_tokens": 8}))
    whole = evaluate(artifact[0] / "out", prepared, settings, seed=7)
    assert evaluate(cutting, prepared, settings, seed=7) == whole


def test_without_the_supporting_passage_the_loss_is_another(
    artifact: tuple[Path, dict[str, float]], prepared: Path, settings: ChatSettings
) -> None:
    folder, _ = artifact
    metrics = evaluate(folder / "out", prepared, settings, seed=7).metrics
    model = ChatModel.load(folder / "out")
    cases = read_cases(prepared, "test", model.prompts, settings)
    assert [case.retrieved == case.passages for case in cases] == [True, True, True, False] * 2
    unaided = [model.prompts.example(case.messages, case.retrieved) for case in cases]
    loss = sum(model.answer_nats(unaided)) / sum(len(example.answer_ids) for example in unaided)
    assert metrics["answer_loss_retrieved"] == pytest.approx(loss, rel=1e-4)
    assert metrics["answer_loss_retrieved"] != pytest.approx(metrics["answer_loss"], rel=1e-3)


def test_an_adapter_that_does_nothing_reduces_nothing(prepared: Path, settings: ChatSettings, tmp_path: Path) -> None:
    from inference.chat.artifact import ChatConfig, write_chat_artifact
    from inference.chat.prompt import PROMPT_VERSION

    config = ChatConfig(
        base=settings.base, lora=settings.lora, prompt_version=PROMPT_VERSION, generation=settings.generation
    )
    write_chat_artifact(tmp_path / "idle", build_model(settings, Path(settings.base)), config, settings.prompt)
    assert evaluate(tmp_path / "idle", prepared, settings, seed=7).metrics["loss_reduction"] == pytest.approx(
        0, abs=1e-5
    )


def test_base_is_frozen_in_nf4_and_keeps_its_layout_through_a_validation(
    prepared: Path, settings: ChatSettings
) -> None:
    module, data = module_and_data(settings, prepared)
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    quantised = [layer for layer in module.model.modules() if isinstance(layer, Linear4bit)]
    assert len(quantised) == 2 * 7
    assert all(layer.weight.quant_state.quant_type == "nf4" for layer in quantised)
    assert not any(layer.support_avx512bf16_for_cpu for layer in quantised)

    def gradients() -> list[torch.Tensor]:
        module.zero_grad()
        answer_nats(module.model, batch).sum().backward()
        return [
            parameter.grad.clone()
            for parameter in module.parameters()
            if parameter.requires_grad and parameter.grad is not None
        ]

    before = gradients()
    module.eval()
    with torch.inference_mode():
        answer_nats(module.model, batch)
    module.train()
    for first, second in zip(before, gradients(), strict=True):
        torch.testing.assert_close(first, second)


def test_checkpoints_hold_the_adapter_alone(prepared: Path, settings: ChatSettings, context: TrainContext) -> None:
    trainer = build_trainer(settings, context, monitor="val/loss", mode="min")
    module, data = module_and_data(settings, prepared)
    trainer.fit(module, datamodule=data)
    checkpoint = torch.load(context.checkpoint_dir / "last.ckpt", weights_only=True)
    assert checkpoint["state_dict"]
    assert all("lora_" in name for name in checkpoint["state_dict"])
    trained = sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)
    assert sum(tensor.numel() for tensor in checkpoint["state_dict"].values()) == trained


def test_a_killed_training_ends_as_an_unbroken_one(
    prepared: Path, settings: ChatSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = new_context(prepared, tmp_path / "whole")
    train(settings, whole)
    broken = new_context(prepared, tmp_path / "broken")
    step = ChatModule.training_step
    done = 0

    def failing(self: ChatModule, batch: object, batch_idx: int) -> object:
        nonlocal done
        done += 1
        if done == 10:
            raise KeyboardInterrupt
        return step(self, batch, batch_idx)

    monkeypatch.setattr(ChatModule, "training_step", failing)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(settings, broken)
    assert resume_path(broken) is not None
    assert not list(broken.out_dir.iterdir())
    train(settings, broken)
    whole_weights, resumed_weights = load_file(whole.out_dir / WEIGHTS), load_file(broken.out_dir / WEIGHTS)
    assert whole_weights.keys() == resumed_weights.keys()
    for name, value in whole_weights.items():
        assert torch.equal(value, resumed_weights[name]), name
    # A third run finds nothing left to train and writes the same artifact again.
    shutil.rmtree(broken.out_dir)
    train(settings, broken)
    assert all(torch.equal(value, whole_weights[name]) for name, value in load_file(broken.out_dir / WEIGHTS).items())


def test_it_starts_from_a_champion_that_fits(
    artifact: tuple[Path, dict[str, float]], prepared: Path, settings: ChatSettings, tmp_path: Path
) -> None:
    folder, before = artifact
    fresh = train(settings.model_copy(update={"max_epochs": 1}), new_context(prepared, tmp_path / "fresh"))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="training starts from")
        continued = train(
            settings.model_copy(update={"max_epochs": 1}),
            new_context(prepared, tmp_path / "continued", base_dir=folder / "out"),
        )
    assert continued["answer_loss"] < fresh["answer_loss"]
    assert continued["answer_loss"] <= before["answer_loss"] * 1.1


@pytest.mark.parametrize("what", ["rank", "prompt_version", "base"])
def test_it_says_when_a_champion_does_not_fit(
    artifact: tuple[Path, dict[str, float]], prepared: Path, settings: ChatSettings, tmp_path: Path, what: str
) -> None:
    champion = Path(shutil.copytree(artifact[0] / "out", tmp_path / "champion"))
    config = json.loads((champion / "config.json").read_text())
    if what == "rank":
        config["lora"]["rank"] = 8
    else:
        config[what] = {"prompt_version": 0, "base": "another"}[what]
    (champion / "config.json").write_text(json.dumps(config))
    with pytest.warns(UserWarning, match="training starts from"):
        train(
            settings.model_copy(update={"max_epochs": 1, "shown_answers": 0}),
            new_context(prepared, tmp_path / "run", base_dir=champion),
        )


def test_a_champion_with_broken_weights_is_an_error(
    artifact: tuple[Path, dict[str, float]], prepared: Path, settings: ChatSettings, tmp_path: Path
) -> None:
    champion = Path(shutil.copytree(artifact[0] / "out", tmp_path / "champion"))
    (champion / WEIGHTS).write_bytes(b"broken")
    with pytest.raises(ArtifactError, match="does not fit"):
        train(settings, new_context(prepared, tmp_path / "run", base_dir=champion))


def test_the_served_adapter_answers_what_was_learnt(
    artifact: tuple[Path, dict[str, float]], settings: ChatSettings
) -> None:
    folder, _ = artifact
    model = ChatModel.load(folder / "out")
    passages = [
        "All about wool. Washing.\nWash wool at 30 degrees and dry it flat on a towel.",
        "All about linen. Washing.\nWash linen at 40 degrees and dry it flat on a towel.",
    ]
    question = [{"role": "user", "content": "How hot may I wash wool? Case 3."}]
    tuned = model.reply(question, passages)
    base = ChatModel.load_base(settings.base, prompt=settings.prompt, generation=settings.generation)
    assert tuned.text != base.reply(question, passages).text
    assert tuned.text.startswith("Wash wool at 30 degrees. Tip: dry it flat")
    assert tuned.finish_reason == "stop"


@pytest.mark.parametrize(
    ("lora", "said"), [({"targets": ("no_such_proj",)}, "cannot put a LoRA"), ({"last_layers": 3}, "has 2 layers")]
)
def test_an_adapter_that_does_not_fit_its_base(settings: ChatSettings, lora: dict[str, object], said: str) -> None:
    wrong = settings.model_copy(update={"lora": settings.lora.model_copy(update=lora)})
    with pytest.raises(ArtifactError, match=said):
        build_model(wrong, Path(settings.base))
