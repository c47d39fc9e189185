"""QLoRA on a tiny base, for both ways of answering: it learns, resumes to the same weights, fits the rules of its answers."""

from __future__ import annotations

import json
import shutil
import warnings
import weakref
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from bitsandbytes.nn import Linear4bit
from pydantic import ValidationError
from safetensors.torch import load_file

from aura.errors import ArtifactError, DataError
from aura.wording import says
from inference.chat.artifact import WEIGHTS, ChatConfig, load_adapter, write_chat_artifact
from inference.chat.base import load_tokenizer
from inference.chat.choosing import ChoiceRule
from inference.chat.familiarity import Familiarity
from inference.chat.model import ChatModel
from inference.chat.prompt import PROMPT_VERSION, Example, PromptBuilder
from inference.chat.scoring import TokenBatch, answer_nats
from inference.chat.settings import AnswerSettings
from tests.inference.chat.decline_rules import same_rule
from tests.training.chat.conftest import in_own_words, new_context, new_settings
from training import judged
from training.chat.choices import choice_loss
from training.chat.data import Case, ChatBatch, ChatDataModule, read_cases
from training.chat.evaluate import as_many, evaluate, first_sentences, nearest_sentences
from training.chat.metrics import answer_metrics, slice_truthfulness
from training.chat.module import ChatModule
from training.chat.plots import CurveRecorder, LossCurve
from training.chat.qlora import build_model
from training.chat.questions import answers_of, read_questions
from training.chat.rules import fit_choice, fit_decline
from training.chat.settings import ChatSettings
from training.chat.spec import SPEC, ChatGate
from training.chat.train import train
from training.context import TrainContext
from training.trainer import build_trainer, resume_path

Artifact = tuple[Path, dict[str, float]]


@pytest.fixture(scope="module")
def artifact(prepared: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """One whole training of quoted answers, shared by the tests that only look at its result."""
    folder = tmp_path_factory.mktemp("quoted")
    return folder, train(new_settings(tiny_base).model_copy(update={"max_epochs": 3}), new_context(prepared, folder))


@pytest.fixture(scope="module")
def free_artifact(prepared: Path, tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The same for answers in the model's own words, which take longer to learn."""
    folder = tmp_path_factory.mktemp("free")
    settings = in_own_words(new_settings(tiny_base)).model_copy(update={"max_epochs": 12})
    return folder, train(settings, new_context(prepared, folder))


def held_out(prepared: Path, model: ChatModel, settings: ChatSettings, *, quoted: bool) -> Sequence[Case]:
    return read_cases(prepared, "test", model.prompts, settings, quoted=quoted)


def batch_loss(model: torch.nn.Module, batches: Sequence[ChatBatch]) -> float:
    """Mean nats per choice, or per token of answers."""
    total, size = 0.0, 0
    with torch.inference_mode():
        for batch in batches:
            if isinstance(batch, TokenBatch):
                total += float(answer_nats(model, batch).sum())
                size += batch.answer_tokens
            else:
                total += float(choice_loss(answer_nats(model, batch.tokens).sum(dim=1), batch)) * batch.groups
                size += batch.groups
    return total / size


def module_and_data(settings: ChatSettings, data_dir: Path) -> tuple[ChatModule, ChatDataModule]:
    folder = Path(settings.base)
    module = ChatModule(build_model(settings, folder), learning_rate=1e-2, weight_decay=0.0, warmup_fraction=0.1)
    module.train()
    builder = PromptBuilder(load_tokenizer(folder), settings.prompt)
    quoted = settings.answers.way != "free"
    return module, ChatDataModule(data_dir, builder, settings, seed=7, quoted=quoted)


def test_training_lowers_the_loss_of_answers_as_trained_and_as_served(
    free_artifact: Artifact, prepared: Path, free_settings: ChatSettings
) -> None:
    folder, metrics = free_artifact
    tuned = ChatModel.load(folder / "out")
    base = ChatModel.load_base(free_settings.base, prompt=free_settings.prompt)
    examples = [case.example for case in held_out(prepared, tuned, free_settings, quoted=False)]
    tokens = sum(len(example.answer_ids) for example in examples if isinstance(example, Example))
    served, before = (sum(model.answer_nats(examples)) / tokens for model in (tuned, base))
    assert 1 - served / before > 0.8
    # The adapter has learnt to make up for what NF4 does to these random weights (much, with 64 channels), so it does best on
    # them; served on whole weights it keeps most of what was gained.
    assert metrics["loss_as_trained"] < served
    assert before - served > 0.88 * (before - metrics["loss_as_trained"])


def test_training_lowers_the_loss_of_choices_as_trained_and_as_served(
    artifact: Artifact, prepared: Path, settings: ChatSettings
) -> None:
    folder, metrics = artifact
    _, data = module_and_data(settings, prepared)
    data.setup("validate")
    batches = list(data.val_dataloader())
    served = batch_loss(ChatModel.load(folder / "out").model, batches)
    before = batch_loss(ChatModel.load_base(settings.base).model, batches)
    assert served < 0.7 * before
    assert metrics["loss_as_trained"] < 0.7 * before


@pytest.mark.parametrize("quoted", [True, False])
def test_the_loss_as_trained_is_that_of_the_artifact_on_the_quantised_base(
    request: pytest.FixtureRequest, prepared: Path, settings: ChatSettings, free_settings: ChatSettings, quoted: bool
) -> None:
    folder, metrics = request.getfixturevalue("artifact" if quoted else "free_artifact")
    module, data = module_and_data(settings if quoted else free_settings, prepared)
    load_adapter(module.model, folder / "out")
    data.setup("validate")
    module.eval()
    loss = batch_loss(module.model, list(data.val_dataloader()))
    assert loss == pytest.approx(metrics["loss_as_trained"], rel=1e-3)


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


@pytest.mark.parametrize("way", ["artifact", "free_artifact"])
def test_artifact_and_plots_are_complete(request: pytest.FixtureRequest, way: str) -> None:
    folder, metrics = request.getfixturevalue(way)
    names = {path.name for path in (folder / "out").iterdir()}
    assert names == {WEIGHTS, "adapter_config.json", "config.json", "preprocess.json", "labels.json", "known_words.json",
        "known_questions.safetensors", "decline_rule.safetensors",
    }  # fmt: skip
    assert all(".lora_" in name for name in load_file(folder / "out" / WEIGHTS))
    plots = {path.name for path in (folder / "plots").iterdir()}
    assert {"loss.png", "answers.png", "answers.md", "history.csv"} <= plots
    shown = (folder / "plots" / "answers.md").read_text(encoding="utf-8")
    assert "How hot may I wash" in shown
    assert set(metrics) == {"loss_as_trained"}


def test_the_rules_of_answers_are_fitted_on_the_validation_questions(
    artifact: Artifact, free_artifact: Artifact, prepared: Path, settings: ChatSettings, free_settings: ChatSettings
) -> None:
    for (folder, _), used in ((artifact, settings), (free_artifact, free_settings)):
        model = ChatModel.load(folder / "out")
        questions = read_questions(prepared, "validation", used)
        assert same_rule(fit_decline(model, questions, used.max_false_refusals), model.declines)
        quoted = model.answers.way == "quoted"
        assert model.choice == (fit_choice(model, questions) if quoted else ChoiceRule())
        assert (model.choice != ChoiceRule()) == quoted
        metrics = answer_metrics(answers_of(model, questions))
        # Bread, guitars and taxes are far from wool, linen and silk; of nine questions in scope the limit allows none.
        assert metrics["correct_refusals"] > 0
        if quoted:
            assert metrics["false_refusals"] == 0
            assert metrics["unsupported"] == 0


def test_without_validation_questions_the_rules_are_the_defaults(
    prepared: Path, tmp_path: Path, settings: ChatSettings
) -> None:
    data = Path(shutil.copytree(prepared, tmp_path / "data"))
    (data / "knowledge" / "questions" / "validation.jsonl").write_text("", encoding="utf-8")
    run = new_context(data, tmp_path / "run")
    assert set(train(settings.model_copy(update={"max_epochs": 1, "shown_answers": 0}), run)) == {"loss_as_trained"}
    model = ChatModel.load(run.out_dir)
    assert (model.choice, model.declines) == (ChoiceRule(), None)


def test_the_curve_survives_a_resume_with_the_checkpoint() -> None:
    before, after = CurveRecorder(), CurveRecorder()
    before.curve = LossCurve(steps=[(1, 5.0), (2, 4.0)], validations=[(2, 4.5)])
    after.load_state_dict(before.state_dict())
    assert after.curve == before.curve
    after.curve.steps.append((3, 3.0))
    assert len(before.curve.steps) == 2


def test_evaluation_judges_the_answers_to_the_test_questions(
    artifact: Artifact, prepared: Path, settings: ChatSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = artifact
    result = evaluate(folder / "out", prepared, settings, seed=7)
    assert result.n == 12
    metrics = result.metrics
    assert set(metrics) == set(SPEC.metrics)
    assert result.slice_sizes == {"kind": {"answerable": 6, "follow-up": 3, "out-of-scope": 3}}
    answers = answers_of(ChatModel.load(folder / "out"), read_questions(prepared, "test", settings))
    expected = answer_metrics(answers)
    for name in set(metrics) - {"facts_in_passages", "first_sentence_seconds", "answer_seconds"}:
        assert metrics[name] == pytest.approx(expected[name], nan_ok=True), name
    assert result.slices == slice_truthfulness(answers)
    assert metrics["facts_in_passages"] >= metrics["fact_recall"]
    # So few questions are not parted.
    assert result.judged.values["truthfulness"] == pytest.approx(metrics["truthfulness"])
    assert result.judged.sizes == {"kind answerable": 6, "kind follow-up": 3, "kind out-of-scope": 3}
    again = evaluate(folder / "out", prepared, settings, seed=8)
    assert (again.judged, again.slices, again.n) == (result.judged, result.slices, result.n)
    assert evaluate(folder / "out", prepared, settings.model_copy(update={"evaluated_questions": 5}), seed=7).n == 5
    monkeypatch.setattr(judged, "_MIN_HALF", 1)
    parted = evaluate(folder / "out", prepared, settings, seed=7)
    assert 0 < len(parted.judged.cases) < len(result.judged.cases)
    assert parted.n + len(parted.judged.cases) == result.n


def test_controls_say_as_much_and_differ_in_the_choice_alone(
    artifact: Artifact, prepared: Path, settings: ChatSettings
) -> None:
    folder, _ = artifact
    result = evaluate(folder / "out", prepared, settings, seed=7)
    controls = result.controls()
    assert set(controls) == {"first sentences", "base"}
    for control in controls.values():
        assert control.cases == result.judged.cases
        for name in ("sentences", "correct_refusals", "false_refusals"):
            assert control.values[name] == pytest.approx(result.judged.values[name], nan_ok=True), name
        assert control.values["unsupported"] == 0
    answers = answers_of(ChatModel.load(folder / "out"), read_questions(prepared, "test", settings))
    base = ChatModel.load_base(settings.base, prompt=settings.prompt)
    for choose in (first_sentences, nearest_sentences):
        others = as_many(answers, partial(choose, base))
        assert [len(other.sentences) for other in others] == [len(answer.sentences) for answer in answers]
        assert [other.declined for other in others] == [answer.declined for answer in answers]


def test_free_answers_have_no_control_that_chooses(
    free_artifact: Artifact, prepared: Path, free_settings: ChatSettings
) -> None:
    result = evaluate(free_artifact[0] / "out", prepared, free_settings, seed=7)
    assert result.controls() == {}
    assert set(result.metrics) == set(SPEC.metrics)


def test_without_questions_an_evaluation_says_what_to_write(
    artifact: Artifact, prepared: Path, settings: ChatSettings, tmp_path: Path
) -> None:
    data = Path(shutil.copytree(prepared, tmp_path / "data"))
    (data / "knowledge" / "questions" / "test.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match=r"knowledge/questions/test\.jsonl") as told:
        evaluate(artifact[0] / "out", data, settings, seed=7)
    assert "key facts" in str(told.value.hint)


def test_the_gate_compares_what_is_measured() -> None:
    gate = ChatGate()
    assert gate.metric in SPEC.metrics
    assert gate.metric == SPEC.slice_metric
    assert SPEC.settings is ChatSettings
    assert set(SPEC.data_folders) == {"chat", "knowledge"}
    with pytest.raises(ValidationError, match="metric"):
        ChatGate.model_validate({"metric": "answer_loss"})
    with pytest.raises(ValidationError, match="max_slice_drop"):
        ChatGate(max_slice_drop=0.0)


def test_an_adapter_that_does_nothing_answers_as_its_base(
    prepared: Path, settings: ChatSettings, tmp_path: Path
) -> None:
    config = ChatConfig(
        base=settings.base, lora=settings.lora, prompt_version=PROMPT_VERSION, generation=settings.generation,
        answers=AnswerSettings(way="quoted"),
    )  # fmt: skip
    write_chat_artifact(tmp_path / "idle", build_model(settings, Path(settings.base)), config, settings.prompt)
    Familiarity({}, 1, frozenset(), np.zeros((0, 384))).save(tmp_path / "idle")
    idle, base = ChatModel.load(tmp_path / "idle"), ChatModel.load_base(settings.base, prompt=settings.prompt)
    for question in read_questions(prepared, "test", settings, 2):
        prompt = idle.prompts.choice_prompt(question.messages, question.passages)
        assert idle.answer_nats(prompt.examples) == pytest.approx(base.answer_nats(prompt.examples), rel=1e-4)


def test_base_is_frozen_in_nf4_and_keeps_its_layout_through_a_validation(
    prepared: Path, free_settings: ChatSettings
) -> None:
    module, data = module_and_data(free_settings, prepared)
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
    artifact: Artifact, prepared: Path, settings: ChatSettings, tmp_path: Path
) -> None:
    folder, before = artifact
    fresh = train(settings.model_copy(update={"max_epochs": 1}), new_context(prepared, tmp_path / "fresh"))
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="training starts from")
        continued = train(
            settings.model_copy(update={"max_epochs": 1}),
            new_context(prepared, tmp_path / "continued", base_dir=folder / "out"),
        )
    assert continued["loss_as_trained"] < fresh["loss_as_trained"]
    assert continued["loss_as_trained"] <= before["loss_as_trained"] * 1.1


@pytest.mark.parametrize("what", ["rank", "prompt_version", "base"])
def test_it_says_when_a_champion_does_not_fit(
    artifact: Artifact, prepared: Path, settings: ChatSettings, tmp_path: Path, what: str
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
    artifact: Artifact, prepared: Path, settings: ChatSettings, tmp_path: Path
) -> None:
    champion = Path(shutil.copytree(artifact[0] / "out", tmp_path / "champion"))
    (champion / WEIGHTS).write_bytes(b"broken")
    with pytest.raises(ArtifactError, match="does not fit"):
        train(settings, new_context(prepared, tmp_path / "run", base_dir=champion))


def test_the_served_adapter_answers_what_was_learnt(
    prepared: Path, free_artifact: Artifact, settings: ChatSettings
) -> None:
    folder, _ = free_artifact
    model = ChatModel.load(folder / "out")
    case = held_out(prepared, model, in_own_words(settings), quoted=False)[0]
    question, passages = case.messages[:-1], [passage.whole for passage in case.passages]
    tuned = model.reply(question, passages)
    base = ChatModel.load_base(settings.base, prompt=settings.prompt, generation=settings.generation)
    assert tuned.text != base.reply(question, passages).text
    assert tuned.text.startswith("Wash wool at 30 degrees. Tip: dry it flat")
    assert tuned.finish_reason == "stop"


def test_the_served_adapter_quotes_what_answers(artifact: Artifact, prepared: Path, settings: ChatSettings) -> None:
    asked = next(one for one in read_questions(prepared, "test", settings) if one.in_scope)
    answer = list(ChatModel.load(artifact[0] / "out").answer(asked.messages, asked.passages))
    assert any(says(sentence.text, wording) for sentence in answer for fact in asked.row.must_hold for wording in fact)
    assert {sentence.status for sentence in answer} == {"quoted"}


@pytest.mark.parametrize(
    ("lora", "said"), [({"targets": ("no_such_proj",)}, "cannot put a LoRA"), ({"last_layers": 3}, "has 2 layers")]
)
def test_an_adapter_that_does_not_fit_its_base(settings: ChatSettings, lora: dict[str, object], said: str) -> None:
    wrong = settings.model_copy(update={"lora": settings.lora.model_copy(update=lora)})
    with pytest.raises(ArtifactError, match=said):
        build_model(wrong, Path(settings.base))
