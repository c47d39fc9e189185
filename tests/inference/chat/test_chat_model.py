"""ChatModel: stream and reply, limits, cancelling, threads, the adapter's effect, and artifacts that are broken."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aura.errors import ArtifactError, InvalidRequestError
from inference.chat.artifact import WEIGHTS, add_lora, load_adapter, read_chat_artifact, write_chat_config
from inference.chat.base import count_parameters, load_causal_model
from inference.chat.choosing import ChoiceRule
from inference.chat.decoding import text_pieces
from inference.chat.model import ChatModel
from inference.chat.settings import SMALL_BASE, AnswerSettings, GenerationSettings
from tests.inference.chat.conftest import CHOICE, DECLINES
from tests.inference.chat.decline_rules import same_rule
from tests.inference.chat.tiny_base import LORA

ASK = [{"role": "user", "content": "What goes with brown shoes?"}]
NOTES = ["Wool. Washing.\nWash wool at 30 degrees."]


def test_stream_equals_reply_and_both_are_repeatable(tiny_chat: ChatModel) -> None:
    reply = tiny_chat.reply(ASK, NOTES)
    stream = tiny_chat.stream(ASK, NOTES)
    assert "".join(stream) == reply.text
    assert (stream.new_tokens, stream.finish_reason) == (reply.new_tokens, reply.finish_reason)
    assert tiny_chat.reply(ASK, NOTES) == reply
    assert reply.prompt_tokens == len(tiny_chat.prompts.prompt(ASK, NOTES).ids)


def test_a_stream_says_how_many_passages_its_prompt_had_room_for(tiny_chat: ChatModel) -> None:
    long = "Wool. Washing.\n" + "Wash wool at 30 degrees. " * 200
    assert [tiny_chat.stream(ASK, notes).used_passages for notes in ([], NOTES, NOTES * 2)] == [0, 1, 2]
    assert tiny_chat.stream(ASK, [long] * 5).used_passages == 1
    assert tiny_chat.question_tokens == tiny_chat.prompts.settings.question_tokens


def test_tokens_are_those_of_transformers_generate(tiny_chat: ChatModel) -> None:
    ids = tiny_chat.prompts.prompt(ASK, NOTES).ids
    with torch.inference_mode():
        expected = tiny_chat.model.generate(torch.tensor([ids]), max_new_tokens=16, do_sample=False)[0, len(ids) :]
    text = tiny_chat.tokenizer.decode(expected, skip_special_tokens=True)
    assert tiny_chat.reply(ASK, NOTES, max_new_tokens=16).text == text


def test_limit_ends_an_answer_with_length(tiny_chat: ChatModel) -> None:
    reply = tiny_chat.reply(ASK, max_new_tokens=3)
    assert (reply.new_tokens, reply.finish_reason) == (3, "length")


def test_end_token_ends_an_answer_with_stop(tiny_chat: ChatModel) -> None:
    ids = tiny_chat.prompts.prompt(ASK).ids
    with torch.inference_mode():
        made = tiny_chat.model.generate(torch.tensor([ids]), max_new_tokens=6, do_sample=False)[0, len(ids) :].tolist()
    stop_at = made[4]
    stopping = ChatModel(
        tiny_chat.model, tiny_chat.tokenizer, prompt=tiny_chat.prompts.settings, generation=tiny_chat.generation
    )
    stopping._end_ids = frozenset({stop_at})
    reply = stopping.reply(ASK, max_new_tokens=6)
    assert reply.finish_reason == "stop"
    assert reply.new_tokens == made.index(stop_at)


def test_closing_the_stream_stops_the_work(tiny_chat: ChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    forward = tiny_chat.model.forward

    def counted(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        return forward(*args, **kwargs)

    monkeypatch.setattr(tiny_chat.model, "forward", counted)
    stream = tiny_chat.stream(ASK)
    assert calls == 0
    next(stream)
    made = calls
    stream.close()
    stream.close()
    assert list(stream) == []
    assert calls == made
    assert stream.finish_reason is None
    # The lock is free again: another answer is possible.
    assert tiny_chat.reply(ASK, max_new_tokens=2).new_tokens == 2


def test_two_streams_side_by_side_do_not_mix(tiny_chat: ChatModel) -> None:
    other = [{"role": "user", "content": "Wash wool?"}]
    expected = [tiny_chat.reply(ASK).text, tiny_chat.reply(other).text]
    got = ["", ""]

    def answer(index: int, messages: list[dict[str, str]]) -> None:
        got[index] = "".join(tiny_chat.stream(messages))

    threads = [threading.Thread(target=answer, args=(index, messages)) for index, messages in enumerate((ASK, other))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == expected


def test_sampling_is_repeatable_by_its_seed(tiny_chat: ChatModel) -> None:
    def reply(seed: int) -> str:
        warm = GenerationSettings(max_new_tokens=16, temperature=1.5, top_p=1.0, seed=seed)
        model = ChatModel(tiny_chat.model, tiny_chat.tokenizer, prompt=tiny_chat.prompts.settings, generation=warm)
        return model.reply(ASK).text

    assert reply(1) == reply(1)
    assert len({reply(1), reply(2), reply(3)}) > 1


def test_adapter_changes_the_answer_and_merging_does_not(tiny_base: Path, tiny_adapter: Path) -> None:
    config, prompt = read_chat_artifact(tiny_adapter)
    tuned = ChatModel.load(tiny_adapter, dtype="float32")
    base = ChatModel.load_base(config.base, prompt=prompt, generation=config.generation, dtype="float32")
    assert tuned.reply(ASK).text != base.reply(ASK).text
    unmerged = add_lora(load_causal_model(tiny_base, dtype=torch.float32), LORA, "tiny")
    load_adapter(unmerged, tiny_adapter)
    ids = torch.tensor([tuned.prompts.prompt(ASK).ids])
    with torch.inference_mode():
        torch.testing.assert_close(
            unmerged.eval()(input_ids=ids).logits, tuned.model(input_ids=ids).logits, rtol=1e-3, atol=1e-3
        )


def test_served_in_sixteen_bits_an_adapter_keeps_what_it_learnt(tiny_adapter: Path) -> None:
    """Folded into 32 bits and rounded once: as near to them as one rounding of each weight allows."""
    exact = dict(ChatModel.load(tiny_adapter, dtype="float32").model.named_parameters())
    served = dict(ChatModel.load(tiny_adapter, dtype="bfloat16").model.named_parameters())
    for name, weight in served.items():
        assert weight.dtype == torch.bfloat16
        assert torch.equal(weight, exact[name].to(torch.bfloat16)), name


def test_characters_of_several_tokens_arrive_whole(tiny_chat: ChatModel) -> None:
    ids = tiny_chat.tokenizer("caf\u00e9 \U0001f457 end", add_special_tokens=False)["input_ids"]
    pieces = [piece for piece, _ in text_pieces(tiny_chat.tokenizer, iter(ids), frozenset())]
    assert "".join(pieces) == "caf\u00e9 \U0001f457 end"
    assert not any("\ufffd" in piece for piece in pieces)


@pytest.mark.parametrize("limit", [0, -1, 100_000])
def test_a_limit_that_cannot_be_is_refused_at_once(tiny_chat: ChatModel, limit: int) -> None:
    with pytest.raises(InvalidRequestError, match="max_new_tokens"):
        tiny_chat.stream(ASK, max_new_tokens=limit)


def test_a_bad_conversation_is_refused_at_once(tiny_chat: ChatModel) -> None:
    with pytest.raises(InvalidRequestError):
        tiny_chat.stream([])


def test_artifact_keeps_no_path_of_a_cache(tiny_adapter: Path) -> None:
    config = json.loads((tiny_adapter / "config.json").read_text())
    adapter = json.loads((tiny_adapter / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == config["base"]
    assert adapter["target_modules"] == sorted(adapter["target_modules"])


def test_an_artifact_answers_by_the_rules_that_it_was_written_with(tiny_adapter: Path, tmp_path: Path) -> None:
    config, prompt = read_chat_artifact(tiny_adapter)
    assert config.choice == CHOICE
    model = ChatModel.load(tiny_adapter)
    assert (model.choice, model.answers) == (CHOICE, config.answers)
    assert same_rule(model.declines, DECLINES)
    copy = Path(shutil.copytree(tiny_adapter, tmp_path / "copy"))
    fitted = config.model_copy(update={"choice": ChoiceRule(posterior=0.25)})
    write_chat_config(copy, fitted)
    assert read_chat_artifact(copy) == (fitted, prompt)
    assert (copy / WEIGHTS).read_bytes() == (tiny_adapter / WEIGHTS).read_bytes()


def test_rules_are_the_defaults_without_an_artifact(tiny_base: Path) -> None:
    model = ChatModel.load_base(str(tiny_base))
    assert (model.choice, model.declines) == (ChoiceRule(), None)
    assert model.answers == AnswerSettings(way="quoted")


def test_parameters_are_counted_without_the_weights(tiny_base: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_base / "config.json", tmp_path)
    weights = load_causal_model(tiny_base, dtype=torch.float32)
    assert count_parameters(tmp_path) == sum(parameter.numel() for parameter in weights.parameters())


def test_a_small_base_quotes_and_a_large_one_speaks() -> None:
    assert AnswerSettings().resolved(SMALL_BASE - 1).way == "quoted"
    assert AnswerSettings().resolved(SMALL_BASE).way == "free"
    assert AnswerSettings(way="free", max_sentences=2).resolved(1) == AnswerSettings(way="free", max_sentences=2)
    assert AnswerSettings(way="quoted").resolved(2 * SMALL_BASE).way == "quoted"
    assert AnswerSettings(min_probability=0.4).resolved(1).min_probability == 0.4


class TestBrokenArtifacts:
    @pytest.fixture
    def copy(self, tiny_adapter: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(tiny_adapter, tmp_path / "copy"))

    @pytest.mark.parametrize("name", ["config.json", "preprocess.json", WEIGHTS, "known_words.json"])
    def test_missing_file(self, copy: Path, name: str) -> None:
        (copy / name).unlink()
        with pytest.raises(ArtifactError, match="missing"):
            ChatModel.load(copy)

    def test_not_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ArtifactError, match="missing"):
            ChatModel.load(tmp_path / "nowhere")

    def test_truncated_weights(self, copy: Path) -> None:
        weights = (copy / WEIGHTS).read_bytes()
        (copy / WEIGHTS).write_bytes(weights[: len(weights) // 2])
        with pytest.raises(ArtifactError, match="does not fit"):
            ChatModel.load(copy)

    def test_weights_of_another_shape(self, copy: Path) -> None:
        config = json.loads((copy / "config.json").read_text())
        config["lora"]["rank"] = 2
        (copy / "config.json").write_text(json.dumps(config))
        with pytest.raises(ArtifactError, match="does not fit"):
            ChatModel.load(copy)

    def test_a_tensor_is_missing(self, copy: Path) -> None:
        state = load_file(copy / WEIGHTS)
        state.pop(sorted(state)[0])
        save_file(state, copy / WEIGHTS)
        with pytest.raises(ArtifactError, match="lacks 1"):
            ChatModel.load(copy)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"prompt_version": 0}, "version 0"),
            ({"model": "detection"}, "model"),
            ({"surprise": 1}, "surprise"),
            ({"base": "/no/such/folder"}, "no base model"),
            ({"answers": {"way": "auto"}}, "answers: .*quoted or free"),
            ({"answers": {"way": "sung"}}, "answers.way"),
            ({"choice": {"posterior": "much"}}, "choice.posterior"),
            ({"declines": {"intercept": -1.0}}, "declines"),  # of a version that kept its rule here
        ],
    )
    def test_config_of_something_else(self, copy: Path, change: dict[str, object], said: str) -> None:
        config = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ArtifactError, match=said):
            ChatModel.load(copy)

    def test_a_config_that_does_not_say_how_it_answers(self, copy: Path) -> None:
        config = json.loads((copy / "config.json").read_text())
        del config["answers"]
        (copy / "config.json").write_text(json.dumps(config))
        with pytest.raises(ArtifactError, match="answers: Field required"):
            ChatModel.load(copy)

    def test_more_layers_than_there_are(self, copy: Path) -> None:
        config = json.loads((copy / "config.json").read_text())
        config["lora"]["last_layers"] = 9
        (copy / "config.json").write_text(json.dumps(config))
        with pytest.raises(ArtifactError, match="2 layers"):
            ChatModel.load(copy)
