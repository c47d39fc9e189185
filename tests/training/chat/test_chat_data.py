"""Conversations become examples: the prompt of serving, the right notes, answers alone in the loss, fair batches."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from aura.errors import DataError
from inference.chat.base import load_tokenizer
from inference.chat.model import ChatModel
from inference.chat.prompt import PromptBuilder
from inference.chat.scoring import IGNORED
from training.chat.data import BucketBatches, ChatDataModule, read_cases
from training.chat.passages import PassageFinder
from training.chat.settings import ChatSettings
from training.fit import EpochShuffle


@pytest.fixture
def builder(settings: ChatSettings) -> PromptBuilder:
    return PromptBuilder(load_tokenizer(Path(settings.base)), settings.prompt)


def test_every_answer_is_a_case_with_the_prompt_that_serving_builds(
    prepared: Path, settings: ChatSettings, builder: PromptBuilder
) -> None:
    cases = read_cases(prepared, "test", builder, chunk_max_words=140)
    assert [(case.conversation, case.turn) for case in cases][:4] == [
        ("care-test-0", 0), ("fabrics-test-1", 0), ("seasons-test-2", 0), ("seasons-test-2", 1),
    ]  # fmt: skip
    served = ChatModel.load_base(settings.base, prompt=settings.prompt)
    for case in cases:
        assert case.example.prompt_ids == served.prompts.prompt(case.messages[:-1], case.passages).ids
        stream = served.stream(case.messages[:-1], case.passages)
        assert stream.prompt_tokens == len(case.example.prompt_ids)


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


def test_the_notes_are_the_section_that_supports_the_answer(prepared: Path) -> None:
    finder = PassageFinder(prepared / "knowledge" / "pages", max_words=140)
    washing = finder.best(["about-wool"], "how hot?", "Wash it at 30 degrees.")
    storing = finder.best(["about-wool"], "where to keep it?", "Fold it with cedar.")
    assert washing.startswith("All about wool. Washing.\nWash wool at 30")
    assert storing.startswith("All about wool. Storing.\nFold wool")
    assert "linen" in finder.best(["about-wool", "about-linen"], "washing linen?", "Wash linen at 40 degrees.")
    assert finder.topics == {"about-wool": "care", "about-linen": "fabrics", "about-silk": "seasons"}


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


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no conversations at"),
        ("", "no conversation in"),
        ("{broken", "not JSON lines"),
        (json.dumps({"id": "a"}), "row 1: not a conversation"),
        (json.dumps({"id": "a", "documents": ["no-page"], "messages": [
            {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}), "no knowledge page no-page"),
        (json.dumps({"id": "a", "documents": ["about-wool"], "messages": [
            {"role": "system", "content": "q"}, {"role": "assistant", "content": "a"}]}), "allowed: user"),
    ],
)  # fmt: skip
def test_broken_conversations_are_named(
    prepared: Path, tmp_path: Path, builder: PromptBuilder, content: str | None, said: str
) -> None:
    data = Path(shutil.copytree(prepared, tmp_path / "data"))
    path = data / "chat" / "test.jsonl"
    path.unlink()
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_cases(data, "test", builder, chunk_max_words=140)
