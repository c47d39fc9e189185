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
from inference.chat.prompt import PromptBuilder
from inference.chat.scoring import IGNORED
from training.chat.data import BucketBatches, Case, ChatDataModule, read_cases
from training.chat.passages import PassageFinder, with_support
from training.chat.settings import ChatSettings
from training.trainer import EpochShuffle


@pytest.fixture
def builder(settings: ChatSettings) -> PromptBuilder:
    return PromptBuilder(load_tokenizer(Path(settings.base)), settings.prompt)


WASH_WOOL = "All about wool. Washing.\nWash wool at 30 degrees and dry it flat on a towel."
WASH_LINEN = "All about linen. Washing.\nWash linen at 40 degrees and dry it flat on a towel."
WASH_SILK = "All about silk. Washing.\nWash silk at 20 degrees and dry it flat on a towel."
STORE_LINEN = "All about linen. Storing.\nFold linen with cedar between the layers and keep it away from light."
MEND_SILK = "All about silk. Mending.\nDarn silk by hand before the hole grows."


@pytest.fixture
def cases(prepared: Path, settings: ChatSettings, builder: PromptBuilder) -> dict[tuple[str, int], Case]:
    read = read_cases(prepared, "test", builder, settings)
    assert len(read) == 8
    return {(case.conversation, case.turn): case for case in read}


@pytest.mark.parametrize(
    ("conversation", "turn", "retrieved", "passages"),
    [
        ("care-test-0", 0, [WASH_WOOL, WASH_LINEN], [WASH_WOOL, WASH_LINEN]),
        ("fabrics-test-1", 0, [WASH_LINEN, STORE_LINEN], [WASH_LINEN, STORE_LINEN]),
        # "What if moths come?" does not say of what, so it is looked up with the question before; no word leads to mending.
        ("seasons-test-2", 1, [WASH_SILK, WASH_LINEN], [WASH_SILK, MEND_SILK]),
    ],
)
def test_the_prompt_is_what_serving_builds_from_two_notes_found_by_the_question(
    cases: dict[tuple[str, int], Case],
    settings: ChatSettings,
    conversation: str,
    turn: int,
    retrieved: list[str],
    passages: list[str],
) -> None:
    case = cases[conversation, turn]
    assert case.retrieved == retrieved
    assert case.passages == passages
    served = ChatModel.load_base(settings.base, prompt=settings.prompt)
    question = case.messages[-2]["content"]
    prompt = served.prompts.prompt(case.messages[:-1], passages)
    assert case.example.prompt_ids == prompt.ids
    shown = served.tokenizer.decode(case.example.prompt_ids)
    assert f"Notes:\n{passages[0]}\n\n{passages[1]}\n\nQuestion: {question}<|im_end|>" in shown
    assert served.stream(case.messages[:-1], passages).prompt_tokens == len(case.example.prompt_ids)


def test_an_example_has_as_many_notes_as_the_service_sends() -> None:
    defaults = {request.model_fields["passages"].default for request in (ChatRequest, SocketRequest)}
    assert defaults == {ChatSettings().passages}


def test_the_setting_decides_how_many_notes_there_are(
    prepared: Path, settings: ChatSettings, builder: PromptBuilder
) -> None:
    for count in (1, 3):
        read = read_cases(prepared, "test", builder, settings.model_copy(update={"passages": count}))
        assert {len(case.passages) for case in read} == {count}
        assert read[3].passages[-1] == MEND_SILK


def test_labels_are_exactly_the_answer_in_both_turns(
    prepared: Path, settings: ChatSettings, builder: PromptBuilder
) -> None:
    data = ChatDataModule(prepared, builder, settings, seed=7)
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


def test_the_supporting_passage_is_the_section_that_the_answer_speaks_of(prepared: Path) -> None:
    finder = PassageFinder(prepared / "knowledge" / "pages", max_words=140)
    washing = finder.support(["about-wool"], "how hot?", "Wash it at 30 degrees.")
    storing = finder.support(["about-wool"], "where to keep it?", "Fold it with cedar.")
    assert washing.startswith("All about wool. Washing.\nWash wool at 30")
    assert storing.startswith("All about wool. Storing.\nFold wool")
    assert "linen" in finder.support(["about-wool", "about-linen"], "washing linen?", "Wash linen at 40 degrees.")
    assert finder.topics == {"about-wool": "care", "about-linen": "fabrics", "about-silk": "seasons"}


def test_retrieval_ranks_all_pages_by_the_question_alone(prepared: Path) -> None:
    finder = PassageFinder(prepared / "knowledge" / "pages", max_words=140)
    found = finder.retrieve("May silk be darned by hand?", 9)
    assert len(found) == len(set(found)) == 9
    assert found[0] == MEND_SILK
    assert all("silk" in passage or "hand" in passage for passage in found[:5])
    assert finder.retrieve("May silk be darned by hand?", 2) == found[:2]
    assert len(finder.retrieve("", 2)) == 2


@pytest.mark.parametrize(
    ("retrieved", "support", "passages"),
    [
        (["a", "b"], "a", ["a", "b"]),
        (["a", "b"], "b", ["a", "b"]),
        (["a", "b"], "c", ["a", "c"]),
        (["a"], "c", ["c"]),
    ],
)
def test_a_missed_supporting_passage_replaces_the_last(retrieved: list[str], support: str, passages: list[str]) -> None:
    assert with_support(retrieved, support) == passages


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
    data = ChatDataModule(prepared, builder, settings, seed=7)
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
        read_cases(data, "test", builder, settings)
