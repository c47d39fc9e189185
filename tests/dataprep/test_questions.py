"""Held-out questions come with the prepared data, and labels that would judge wrongly are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aura.errors import DataError
from aura.prepared_rows import QuestionRow, read_rows
from aura.problems import Problems
from dataprep.prepare import prepare
from dataprep.questions import copy_questions
from dataprep.settings import DataSettings
from tests.dataprep.knowledge_pages import dialogue, question, write_lines, write_questions

FAR: dict[str, Any] = {"kind": "out-of-scope", "documents": [], "must_hold": []}


def problems_of(knowledge: Path, out: Path) -> list[str]:
    problems = Problems()
    copy_questions(knowledge, out, problems)
    return problems.found


def asked(*questions: str) -> list[dict[str, str]]:
    """A conversation of these questions, an answer after each but the last."""
    turns = [[{"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}] for text in questions]
    return [message for turn in turns for message in turn][:-1]


def test_questions_of_both_splits_are_prepared_and_counted(
    knowledge: Path, own_raw: Path, tmp_path: Path, tiny: DataSettings
) -> None:
    write_questions(knowledge, "validation", [question(0), question(1, **FAR)])
    write_questions(knowledge, "test", [question(2), question(3), question(4, kind="no")])
    counts = prepare(tiny, own_raw, knowledge, tmp_path / "data")
    folder = tmp_path / "data" / "knowledge" / "questions"
    assert [row.id for row in read_rows(folder / "validation.jsonl", QuestionRow)] == ["question-0", "question-1"]
    assert [row.kind for row in read_rows(folder / "test.jsonl", QuestionRow)] == ["answerable", "answerable", "no"]
    assert counts["knowledge"]["questions"]["test"] == {"answerable": 2, "no": 1}
    card = (tmp_path / "data" / "card.md").read_text()
    assert "| answerable | 1 | 2 |" in card
    assert "| out-of-scope | 1 | 0 |" in card


def test_a_knowledge_base_without_questions_is_prepared(prepared: Path) -> None:
    for split in ("validation", "test"):
        assert (prepared / "knowledge" / "questions" / f"{split}.jsonl").read_bytes() == b""
    assert "None, so nothing will be known of how good answers are." in (prepared / "card.md").read_text()


def test_one_split_alone_is_prepared(knowledge: Path, tmp_path: Path) -> None:
    write_questions(knowledge, "test", [question(0)])
    assert problems_of(knowledge, tmp_path / "out") == []
    assert read_rows(tmp_path / "out" / "validation.jsonl", QuestionRow) == []


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"documents": ["linen", "silk"]}, "unknown pages silk"),
        ({"must_hold": [["cold"], ["60 °C", "boil it"]]}, "no sentence of linen says '60 °C' or 'boil it'"),
        ({"documents": ["wool"], "must_hold": [["wash linen"]]}, "no sentence of wool says 'wash linen'"),
        ({"must_not_say": ["wash linen"], "must_hold": [["cold"]]}, "'wash linen' must not be said, but stands beside"),
        ({"must_hold": []}, "in must_hold the facts of a right answer"),
    ],
)
def test_a_label_that_the_page_does_not_bear_out_is_named(
    knowledge: Path, tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    write_questions(knowledge, "test", [question(0), question(3, **changes)])
    [found] = problems_of(knowledge, tmp_path / "out")
    assert found.startswith("questions/test.jsonl, row 2")
    assert problem in found


def test_a_wrong_wording_in_another_sentence_is_no_problem(knowledge: Path, tmp_path: Path) -> None:
    with (knowledge / "linen.md").open("a") as page:
        page.write("\nNever use hot\nwater. Iron it damp.\n")
    write_questions(knowledge, "test", [question(0, must_hold=[["iron it damp"]], must_not_say=["hot water"])])
    assert problems_of(knowledge, tmp_path / "out") == []
    write_questions(knowledge, "test", [question(0, must_hold=[["never use"]], must_not_say=["hot water"])])
    assert len(problems_of(knowledge, tmp_path / "out")) == 1


@pytest.mark.parametrize(
    ("messages", "source"),
    [
        (asked("HOW to wash  wool?"), "queries/all.jsonl, row 3"),
        (asked("Question 4"), "dialogues/all.jsonl, talk-4"),
        (asked("And the shoes?"), "dialogues/more.jsonl, long"),
        (asked("which coat", "and the shoes"), "dialogues/more.jsonl, long"),
        (asked("and the shoes", "and a hat"), "dialogues/more.jsonl, long"),
        (asked("which dress", "and the shoes"), None),
        (asked("which coat", "and a hat"), None),
    ],
)
def test_a_question_that_is_trained_on_is_named(
    knowledge: Path, tmp_path: Path, messages: list[dict[str, str]], source: str | None
) -> None:
    talk = [*asked("Which coat?", "And the shoes?", "And a hat?"), {"role": "assistant", "content": "Yes."}]
    write_lines(knowledge / "dialogues" / "more.jsonl", [dialogue(31, id="long", messages=talk)])
    kind = "answerable" if len(messages) == 1 else "follow-up"
    write_questions(knowledge, "test", [question(0, kind=kind, messages=messages)])
    found = problems_of(knowledge, tmp_path / "out")
    assert [f"is also in {source}: ask something else" in problem for problem in found] == ([True] if source else [])


def test_the_same_question_or_id_in_both_splits_is_named(knowledge: Path, tmp_path: Path) -> None:
    write_questions(knowledge, "validation", [question(0), question(1)])
    write_questions(knowledge, "test", [question(2, messages=asked("What about linen, number 0?")), question(1)])
    assert problems_of(knowledge, tmp_path / "out") == [
        "questions/test.jsonl, row 1 (question-2): asks the same as question-0: take one out",
        "questions/test.jsonl, row 2 (question-1): asks the same as question-1: take one out",
        "question ids: 'question-1' appears twice",
    ]


def test_questions_are_told_with_all_other_problems(
    knowledge: Path, own_raw: Path, tmp_path: Path, tiny: DataSettings
) -> None:
    write_questions(knowledge, "test", [question(0, documents=["silk"]), question(1, kind="yes")])
    write_lines(knowledge / "dialogues" / "more.jsonl", [dialogue(99, documents=["silk"])])
    with pytest.raises(DataError) as caught:
        prepare(tiny, own_raw, knowledge, tmp_path / "data")
    for part in (
        "3 problem(s) in the raw data:",
        "questions/test.jsonl, row 1 (question-0): unknown pages silk",
        "questions/test.jsonl, row 2: kind: Input should be 'answerable'",
        "dialogues/more.jsonl, talk-99: unknown pages silk",
    ):
        assert part in caught.value.message
