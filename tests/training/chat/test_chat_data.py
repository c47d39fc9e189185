"""Conversations become examples: prompts of serving's shape, the right passages, answers alone in the loss, fair batches."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aura.errors import DataError
from bentos.conversational_ai.schemas import ChatRequest, SocketRequest
from inference.chat.base import load_tokenizer
from inference.chat.model import ChatModel
from inference.chat.prompt import Example, PromptBuilder
from inference.chat.scoring import IGNORED
from training.chat.choices import ChoiceBatch, ChoiceExample
from training.chat.data import BucketBatches, Case, ChatDataModule, read_cases
from training.chat.passages import PassageFinder, with_support
from training.chat.settings import ChatSettings
from training.trainer import EpochShuffle


@pytest.fixture
def builder(settings: ChatSettings) -> PromptBuilder:
    return PromptBuilder(load_tokenizer(Path(settings.base)), settings.prompt)


WASH_WOOL = "Wash wool at 30 degrees and dry it flat on a towel."
WASH_LINEN = "Wash linen at 40 degrees and dry it flat on a towel."
WASH_SILK = "Wash silk at 20 degrees and dry it flat on a towel."
MEND_SILK = "Darn silk by hand before the hole grows."


Cases = dict[tuple[str, int], Case]


def read(data_dir: Path, builder: PromptBuilder, settings: ChatSettings, *, quoted: bool) -> Cases:
    cases = read_cases(data_dir, "test", builder, settings, quoted=quoted)
    assert len(cases) == 8
    return {(case.conversation, case.turn): case for case in cases}


@pytest.fixture
def free_cases(prepared: Path, settings: ChatSettings, builder: PromptBuilder) -> Cases:
    return read(prepared, builder, settings, quoted=False)


@pytest.fixture
def quoted_cases(prepared: Path, settings: ChatSettings, builder: PromptBuilder) -> Cases:
    return read(prepared, builder, settings, quoted=True)


def test_passages_are_what_serving_finds_with_the_one_that_supports_the_answer(
    free_cases: Cases, prepared: Path, settings: ChatSettings
) -> None:
    expected = {"care-test-0": WASH_WOOL, "fabrics-test-1": WASH_LINEN, "seasons-test-2": WASH_SILK}
    with PassageFinder(prepared / "knowledge" / "pages", settings.retrieval) as finder:
        for (conversation, turn), case in free_cases.items():
            found = finder.retrieve(case.messages[:-1], settings.passages)
            text = MEND_SILK if turn else expected.get(conversation, "")
            if text:
                assert case.chosen == [text]
            supporting = [passage for passage in case.passages if passage.text in case.chosen]
            assert len(supporting) == 1
            wanted = with_support(found, supporting[0])
            assert [(one.source, one.text) for one in case.passages] == [(one.source, one.text) for one in wanted]
            # An embedding is rounded otherwise in a batch.
            for name in ("similarity", "relevance"):
                told, found_alone = ([getattr(one, name) for one in passages] for passages in (case.passages, wanted))
                assert told == pytest.approx(found_alone, abs=1e-5)
            assert len(case.passages) == settings.passages


@pytest.mark.parametrize(("conversation", "turn"), [("care-test-0", 0), ("fabrics-test-1", 0), ("seasons-test-2", 1)])
def test_the_prompt_of_an_answer_is_what_serving_builds(
    free_cases: Cases, settings: ChatSettings, conversation: str, turn: int
) -> None:
    case = free_cases[conversation, turn]
    assert isinstance(case.example, Example)
    served = ChatModel.load_base(settings.base, prompt=settings.prompt)
    question = case.messages[-2]["content"]
    passages = [passage.whole for passage in case.passages]
    assert case.example.prompt_ids == served.prompts.prompt(case.messages[:-1], passages).ids
    shown = served.tokenizer.decode(case.example.prompt_ids)
    notes = "\n\n".join(passages)
    assert f"Notes:\n{notes}\n\nQuestion: {question}<|im_end|>" in shown
    assert served.stream(case.messages[:-1], passages).prompt_tokens == len(case.example.prompt_ids)


def test_the_prompts_of_a_choice_are_what_serving_builds(
    quoted_cases: Cases, settings: ChatSettings, builder: PromptBuilder
) -> None:
    for case in quoted_cases.values():
        assert isinstance(case.example, ChoiceExample)
        served = builder.choice_prompt(case.messages[:-1], case.passages)
        of_sentence = dict(zip((one.text for one in served.sentences), served.examples, strict=True))
        assert case.example.answering == [of_sentence[text].prompt_ids for text in case.chosen]
        assert case.example.asked == served.examples[0].answer_ids
        others = [of_sentence[text].prompt_ids for text in of_sentence if text not in case.chosen]
        assert len(case.example.others) == min(settings.negatives, len(others)) > 0
        assert all(prompt in others for prompt in case.example.others)


def test_a_choice_that_has_no_room_for_what_answers_teaches_nothing(
    prepared: Path, settings: ChatSettings, builder: PromptBuilder
) -> None:
    narrow = PromptBuilder(
        builder.tokenizer,
        settings.prompt.model_copy(update={"passage_tokens": len(builder.tokenizer(WASH_WOOL)["input_ids"])}),
    )
    cases = read_cases(prepared, "train", narrow, settings, quoted=True)
    assert all(isinstance(case.example, ChoiceExample) and case.example.answering for case in cases)


def test_an_answer_of_which_its_pages_say_nothing_is_left_out(
    prepared: Path, tmp_path: Path, settings: ChatSettings, builder: PromptBuilder
) -> None:
    data = Path(shutil.copytree(prepared, tmp_path / "data"))
    row = {"id": "invented", "documents": ["about-wool"], "messages": [
        {"role": "user", "content": "When does the shop open?"},
        {"role": "assistant", "content": "The museum of trains opens at nine on Sundays."},
        {"role": "user", "content": "How hot may I wash wool?"}, {"role": "assistant", "content": WASH_WOOL}]}  # fmt: skip
    (data / "chat" / "test.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    for quoted in (True, False):
        cases = read_cases(data, "test", builder, settings, quoted=quoted)
        assert [(case.turn, case.chosen) for case in cases] == [(1, [WASH_WOOL])]


def test_an_example_has_as_many_notes_as_the_service_sends() -> None:
    defaults = {request.model_fields["passages"].default for request in (ChatRequest, SocketRequest)}
    assert defaults == {ChatSettings().passages}


def test_the_setting_decides_how_many_notes_there_are(
    prepared: Path, settings: ChatSettings, builder: PromptBuilder
) -> None:
    for count in (1, 2):
        read = read_cases(prepared, "test", builder, settings.model_copy(update={"passages": count}), quoted=True)
        assert {len(case.passages) for case in read} == {count}
        assert MEND_SILK in [passage.text for passage in read[3].passages]


def test_labels_are_exactly_the_answer_in_both_turns(
    prepared: Path, settings: ChatSettings, builder: PromptBuilder
) -> None:
    data = ChatDataModule(prepared, builder, settings, seed=7, quoted=False)
    data.setup("fit")
    answers = {case.messages[-1]["content"] for case in data.train_cases}
    assert any(case.turn == 1 for case in data.train_cases)
    seen = 0
    for batch in data.train_dataloader():
        for labels in batch.labels:
            kept = labels[labels != IGNORED].tolist()
            assert kept[-1] == builder.end_id
            assert builder.tokenizer.decode(kept[:-1]) in answers
            seen += 1
    assert seen == len(data.train_cases)


def test_batches_of_choices_hold_each_question_behind_its_sentences(
    prepared: Path, settings: ChatSettings, builder: PromptBuilder
) -> None:
    data = ChatDataModule(prepared, builder, settings, seed=7, quoted=True)
    data.setup("fit")
    asked = {case.messages[-2]["content"] for case in data.train_cases}
    seen = 0
    for batch in [*data.train_dataloader(), *data.val_dataloader()]:
        assert isinstance(batch, ChoiceBatch)
        assert set(batch.question[batch.answers].tolist()) == set(range(batch.groups))
        for labels in batch.tokens.labels:
            said = builder.tokenizer.decode(labels[labels != IGNORED].tolist())
            assert said.endswith("<|im_end|>")
            assert "Case" in said
        seen += batch.groups
    assert seen == len(data.train_cases) + len(data.val_cases)
    assert asked


def test_batches_hold_everything_once_and_differ_by_epoch_alone() -> None:
    lengths = [(index * 37) % 101 for index in range(50)]

    def epoch(number: int) -> list[list[int]]:
        sampler = EpochShuffle(len(lengths), seed=7)
        sampler.set_epoch(number)
        return list(BucketBatches(sampler, 4, False, lengths))

    assert sorted(index for batch in epoch(0) for index in batch) == list(range(50))
    assert len(epoch(0)) == len(BucketBatches(EpochShuffle(50, 7), 4, False, lengths)) == 13
    assert epoch(0) == epoch(0) != epoch(1)
    padding = sum(max(lengths[i] for i in batch) * len(batch) - sum(lengths[i] for i in batch) for batch in epoch(0))
    plain = list(EpochShuffle(50, 7))
    naive = [plain[at : at + 4] for at in range(0, 50, 4)]
    padding_naive = sum(max(lengths[i] for i in b) * len(b) - sum(lengths[i] for i in b) for b in naive)
    assert padding < padding_naive / 3
    assert len(list(BucketBatches(EpochShuffle(50, 7), 4, True, lengths))) == 12


def test_a_resumed_training_reads_ahead_in_its_own_epoch(
    prepared: Path, settings: ChatSettings, builder: PromptBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ChatDataModule(prepared, builder, settings, seed=7, quoted=True)
    data.setup("fit")

    def batches(epoch: int) -> list[list[int]]:
        monkeypatch.setattr("training.chat.data.resumed_epoch", lambda _data: epoch)
        return list(data.train_dataloader().batch_sampler)

    assert batches(1) == batches(1) != batches(0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "is missing"),
        ("", "no conversation in"),
        ("{broken", "row 1: not JSON"),
        (json.dumps({"id": "a"}), "row 1: documents: Field required; messages: Field required"),
        (json.dumps({"id": "a", "documents": ["no-page"], "messages": [
            {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}), "no knowledge page no-page"),
        (json.dumps({"id": "a", "documents": ["about-wool"], "messages": [
            {"role": "system", "content": "q"}, {"role": "assistant", "content": "a"}]}), "messages.0.role: Input should"),
        (json.dumps({"id": "a", "documents": ["about-wool"], "messages": [
            {"role": "user", "content": "q"}, {"role": "tool", "content": "x"}, {"role": "assistant", "content": "a"}]}),
         "messages.1.role: Input should"),
    ],
)  # fmt: skip
def test_broken_conversations_are_named(
    prepared: Path, tmp_path: Path, settings: ChatSettings, builder: PromptBuilder, content: str | None, said: str
) -> None:
    data = Path(shutil.copytree(prepared, tmp_path / "data"))
    path = data / "chat" / "test.jsonl"
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_cases(data, "test", builder, settings, quoted=True)
