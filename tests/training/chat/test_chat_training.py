"""QLoRA on a tiny base: it learns, resumes to the same weights, saves adapters alone, starts from a champion."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from safetensors.torch import load_file

from aura.errors import ArtifactError
from inference.chat.artifact import WEIGHTS
from inference.chat.base import load_tokenizer
from inference.chat.model import ChatModel
from inference.chat.prompt import PromptBuilder
from inference.chat.scoring import answer_nats
from tests.training.chat.conftest import new_context
from training.chat.data import ChatDataModule
from training.chat.evaluate import evaluate
from training.chat.module import ChatModule
from training.chat.qlora import build_model
from training.chat.settings import ChatSettings
from training.chat.train import train
from training.context import TrainContext
from training.fit import build_trainer, resume_path


@pytest.fixture(scope="module")
def artifact(
    prepared: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, float]]:
    """One whole training, shared by the tests that only look at its result."""
    from tests.training.chat.conftest import settings as settings_fixture

    settings: ChatSettings = settings_fixture.__wrapped__(tiny_base)
    folder = tmp_path_factory.mktemp("trained")
    metrics = train(settings.model_copy(update={"max_epochs": 6}), new_context(prepared, folder))
    return folder, metrics


def module_and_data(settings: ChatSettings, data_dir: Path) -> tuple[ChatModule, ChatDataModule]:
    folder = Path(settings.base)
    module = ChatModule(build_model(settings, folder), learning_rate=1e-2, weight_decay=0.0, warmup_fraction=0.1)
    module.train()
    return module, ChatDataModule(data_dir, PromptBuilder(load_tokenizer(folder), settings.prompt), settings, seed=7)


def test_training_lowers_the_loss_as_trained_and_as_served(artifact: tuple[Path, dict[str, float]]) -> None:
    _, metrics = artifact
    assert metrics["loss_reduction"] > 0.3
    assert metrics["loss_reduction"] == pytest.approx(1 - metrics["answer_loss"] / metrics["base_answer_loss"])
    # Random weights of 64 channels lose much in NF4, so the two may differ; both must have learnt.
    assert metrics["answer_loss_as_trained"] < 0.7 * metrics["base_answer_loss"]


def test_artifact_and_pictures_are_complete(artifact: tuple[Path, dict[str, float]]) -> None:
    folder, _ = artifact
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {WEIGHTS, "adapter_config.json", "config.json", "preprocess.json", "labels.json"}
    assert all(".lora_" in name for name in load_file(folder / "out" / WEIGHTS))
    pictures = {path.name for path in (folder / "pictures").iterdir()}
    assert {"loss.png", "answers.png", "answers.md", "history.csv"} <= pictures
    shown = (folder / "pictures" / "answers.md").read_text(encoding="utf-8")
    assert "How hot may I wash" in shown


def test_evaluation_compares_both_on_the_test_split(
    artifact: tuple[Path, dict[str, float]], prepared: Path, settings: ChatSettings
) -> None:
    folder, _ = artifact
    result = evaluate(folder / "out", prepared, settings, seed=7)
    assert result.n == 8
    figures = result.metrics
    assert figures["loss_reduction"] == pytest.approx(1 - figures["answer_loss"] / figures["base_answer_loss"])
    assert figures["loss_reduction_low"] <= figures["loss_reduction"] <= figures["loss_reduction_high"]
    assert set(result.slices) == {"topic", "turn"}
    assert set(result.slices["topic"]) == {"seasons"}
    assert evaluate(folder / "out", prepared, settings, seed=7) == result


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
    quantised = [one for one in module.model.modules() if isinstance(one, Linear4bit)]
    assert len(quantised) == 2 * 7
    assert all(one.weight.quant_state.quant_type == "nf4" for one in quantised)
    assert not any(one.support_avx512bf16_for_cpu for one in quantised)

    def gradients() -> list[torch.Tensor]:
        module.zero_grad()
        answer_nats(module.model, batch).sum().backward()
        return [one.grad.clone() for one in module.parameters() if one.requires_grad and one.grad is not None]

    before = gradients()
    module.eval()
    with torch.inference_mode():
        answer_nats(module.model, batch)
    module.train()
    for one, other in zip(before, gradients(), strict=True):
        torch.testing.assert_close(one, other)


def test_checkpoints_hold_the_adapter_alone(prepared: Path, settings: ChatSettings, context: TrainContext) -> None:
    trainer = build_trainer(settings, context, monitor="val_loss", mode="min")
    module, data = module_and_data(settings, prepared)
    trainer.fit(module, datamodule=data)
    checkpoint = torch.load(context.checkpoint_dir / "last.ckpt", weights_only=True)
    assert checkpoint["state_dict"]
    assert all("lora_" in name for name in checkpoint["state_dict"])
    trained = sum(one.numel() for one in module.parameters() if one.requires_grad)
    assert sum(one.numel() for one in checkpoint["state_dict"].values()) == trained


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
    one, other = load_file(whole.out_dir / WEIGHTS), load_file(broken.out_dir / WEIGHTS)
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
    # A third run finds nothing left to train and writes the same artifact again.
    shutil.rmtree(broken.out_dir)
    train(settings, broken)
    assert all(torch.equal(value, one[name]) for name, value in load_file(broken.out_dir / WEIGHTS).items())


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
    page = "All about wool. Washing.\nWash wool at 30 degrees and dry it flat on a towel."
    question = [{"role": "user", "content": "How hot may I wash wool? Case 3."}]
    tuned = model.reply(question, [page])
    base = ChatModel.load_base(settings.base, prompt=settings.prompt, generation=settings.generation)
    assert tuned.text != base.reply(question, [page]).text
    assert "Tip:" in tuned.text
    assert tuned.finish_reason == "stop"


@pytest.mark.parametrize(
    ("lora", "said"), [({"targets": ("no_such_proj",)}, "cannot put a LoRA"), ({"last_layers": 3}, "has 2 layers")]
)
def test_an_adapter_that_does_not_fit_its_base(settings: ChatSettings, lora: dict[str, object], said: str) -> None:
    wrong = settings.model_copy(update={"lora": settings.lora.model_copy(update=lora)})
    with pytest.raises(ArtifactError, match=said):
        build_model(wrong, Path(settings.base))
