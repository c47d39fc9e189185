"""The chat model's smoke test tells the recorded adapter from another one, in both ways of answering."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aura.errors import WrongAnswerError
from inference import smoke_test
from inference.chat.answer import AnswerSentence
from inference.chat.artifact import read_chat_artifact, write_chat_config
from inference.chat.model import ChatModel
from inference.chat.settings import AnswerSettings
from inference.chat.smoke_test import SMOKE_TEST, read_inputs, reply_differences, said


@pytest.mark.parametrize("way", ["quoted", "free"])
def test_the_recorded_adapter_passes_and_one_of_zeros_does_not(tiny_adapter: Path, tmp_path: Path, way: str) -> None:
    artifact = Path(shutil.copytree(tiny_adapter, tmp_path / "artifact"))
    config, _ = read_chat_artifact(artifact)
    write_chat_config(artifact, config.model_copy(update={"answers": AnswerSettings.model_validate({"way": way})}))
    smoke_test.record(SMOKE_TEST, artifact, "cpu")
    smoke_test.check(SMOKE_TEST, artifact, "cpu")
    inputs = read_inputs(artifact)
    recorded = SMOKE_TEST.answers(artifact, "cpu")
    assert len(recorded["replies"]) == len(inputs["conversations"]) == len(inputs["passages"]) == 3
    assert len(recorded["nats_per_token"]) == (21 if way == "quoted" else 3)
    loaded = ChatModel.load(artifact)
    smoke_test.check_loaded(SMOKE_TEST, loaded, artifact)
    asked = SMOKE_TEST.answers_of(loaded, artifact)
    assert (len(asked["replies"]), len(asked["nats_per_token"])) == (1, 3 if way == "quoted" else 1)
    weights = artifact / "adapter_model.safetensors"
    save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(weights).items()}, weights)
    with pytest.raises(WrongAnswerError, match="nats per token instead of"):
        smoke_test.check(SMOKE_TEST, artifact, "cpu")
    with pytest.raises(WrongAnswerError, match="nats per token instead of"):
        smoke_test.check_loaded(SMOKE_TEST, ChatModel.load(artifact), artifact)


def test_answers_are_compared_by_their_words() -> None:
    recorded = {"nats_per_token": [1.0, 2.0], "replies": ["Wash it by hand.", "Choose brown ones."]}

    def differences(*replies: str, nats: tuple[float, float] = (1.0, 2.0)) -> list[str]:
        return SMOKE_TEST.differences(recorded, {"nats_per_token": list(nats), "replies": list(replies)})

    assert differences("Wash it by hand.", "Take black ones.") == []
    assert differences("Boil it for hours.", "Take black ones.")
    assert "it answers no words" in differences("", " ")
    assert differences("Wash it by hand.", "Choose brown ones.", nats=(1.04, 1.96)) == []
    assert differences("Wash it by hand.", "Choose brown ones.", nats=(1.0, 2.06)) == [
        "text 1 has 2.060 nats per token instead of 2.000"
    ]
    assert differences("Wash it by hand.", "Choose brown ones.", nats=(1.0, float("nan")))


def test_a_service_is_compared_by_its_words_alone() -> None:
    replies = ["Wash it by hand.", "Choose brown ones."]
    assert reply_differences(replies, ["Wash it by hand.", "Take black ones."]) == []
    assert reply_differences(replies, ["Boil it.", "Take black ones."]) == [
        "0% of the words are the same, for example 'Boil it.' instead of 'Wash it by hand.'"
    ]


def test_an_answer_is_said_in_its_words() -> None:
    sentences = [AnswerSentence("Wash it cold.", 0, "quoted"), AnswerSentence("Dry it flat.", None, "supported")]
    assert said(sentences) == "Wash it cold. Dry it flat."
