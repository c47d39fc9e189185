"""What is looked up for a question and how a found chunk reads; training and the service share both."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aura.errors import InvalidRequestError
from inference.chat.passages import ChatPassage, search_query, source_of, whole_question

ABOUT_WOOL = {"role": "user", "content": "How hot may I wash a wool jumper?"}
ANSWER = {"role": "assistant", "content": "At 30 degrees."}


def conversation(*questions: str) -> list[dict[str, str]]:
    later = [message for text in questions for message in (ANSWER, {"role": "user", "content": text})]
    return [ABOUT_WOOL, *later]


@pytest.mark.parametrize(
    ("messages", "query"),
    [
        (conversation(), "How hot may I wash a wool jumper?"),
        (conversation("And in the machine?"), "How hot may I wash a wool jumper? And in the machine?"),
        (conversation("What goes with brown suede shoes?"), "What goes with brown suede shoes?"),
        (
            conversation("Which shoes go with it then?", "And a belt?"),
            "How hot may I wash a wool jumper? Which shoes go with it then? And a belt?",
        ),
        (
            conversation("Which shoes go with a navy suit?", "And a belt?"),
            "Which shoes go with a navy suit? And a belt?",
        ),
        ([{"role": "user", "content": "Wool?"}], "Wool?"),
        (
            conversation("And what about the shoes that I wear in winter?"),
            "How hot may I wash a wool jumper? And what about the shoes that I wear in winter?",
        ),
        (
            conversation("How long does it take before those can be worn?"),
            "How hot may I wash a wool jumper? How long does it take before those can be worn?",
        ),
        (conversation("Android users like which kind of jacket?"), "Android users like which kind of jacket?"),
        (conversation("And silk?", "And linen?", "And hemp?"), "And silk? And linen? And hemp?"),
    ],
)
def test_a_short_follow_up_is_looked_up_with_the_question_before(messages: list[dict[str, str]], query: str) -> None:
    assert search_query(messages) == query
    assert whole_question(messages) == query


def test_of_a_long_question_the_end_is_looked_up() -> None:
    query = search_query(conversation("blazer " * 300 + "which shoes?"))
    assert len(query) == 1000
    assert query.endswith("blazer which shoes?")
    assert whole_question(conversation("blazer " * 300 + "which shoes?")).count("blazer") == 300


@pytest.mark.parametrize("blanks", [" " * 1000, "\n" * 5000, "\u00a0\t" * 600])
def test_blanks_do_not_push_a_question_out_of_its_query(blanks: str) -> None:
    asked = conversation(f"{blanks}Which{blanks}shoes go with a navy suit?{blanks}")
    assert search_query(asked) == "Which shoes go with a navy suit?"


def test_a_conversation_without_a_question_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="user's"):
        search_query([ANSWER])


def test_passage_names_its_source() -> None:
    assert source_of("Wool", "Washing") == "Wool. Washing"
    assert source_of("Wool", "Wool") == "Wool"
    passage = ChatPassage(source=source_of("Wool", "Washing"), text="At 30 degrees.")
    assert passage.whole == "Wool. Washing.\nAt 30 degrees."


def test_the_api_part_can_import_it_without_torch() -> None:
    code = "import sys, inference.chat.passages; print(sorted({'torch', 'transformers'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
