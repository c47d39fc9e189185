"""Signs of whether a question is one that the pages answer, by hand."""

from __future__ import annotations

from math import log
from pathlib import Path

import numpy as np
import pytest

from aura.errors import ArtifactError
from inference.chat.familiarity import SIGNS, Familiarity
from inference.chat.passages import ChatPassage

WOOL = ChatPassage(source="Wool", text="Wash wool cold.", similarity=0.8, relevance=0.5)
SILK = ChatPassage(source="Silk", text="Iron silk damp.", similarity=0.4, relevance=0.7)
LINEN = ChatPassage(source="Linen", text="Wash linen.", similarity=0.0)
NO_SENTENCES = np.zeros((0, 2))


def known() -> Familiarity:
    vectors = {"May I boil wool?": [1.0, 0.0], "Which hats?": [0.0, 1.0]}
    return Familiarity.of([WOOL, SILK, LINEN], list(vectors), lambda texts: np.array([vectors[one] for one in texts]))


def test_signs_are_those_of_the_formulas() -> None:
    signs = known().signs("wash wool football", np.array([0.6, 0.8]), [WOOL, SILK], np.array([[0.0, 1.0], [1.0, 0.0]]))
    # "wash" stands in two of three passages, "wool" in one, "football" in none.
    wash, wool, football = log(4 / 2.5), log(4 / 1.5), log(4 / 0.5)
    assert signs == pytest.approx(
        {
            "relevance": 0.7,
            "mean_similarity": 0.6,
            "known_words": 2 / 3,
            "coverage": (wash + wool) / (wash + wool + football),
            "rarity": wash + wool,
            "nearest_question": 0.8,
            "nearest_sentence": 0.8,
            "words": 3.0,
        },
        rel=1e-3,
    )
    assert tuple(signs) == SIGNS


def test_a_word_of_a_question_of_the_training_is_known_though_no_page_has_it() -> None:
    assert known().signs("hats", np.zeros(2), [WOOL], NO_SENTENCES)["known_words"] == 1.0
    assert known().signs("hats", np.zeros(2), [WOOL], NO_SENTENCES)["coverage"] == 0.0


def test_without_passages_words_or_questions_signs_are_the_lowest() -> None:
    assert known().signs("?", np.array([1.0, 0.0]), [], NO_SENTENCES) == pytest.approx(
        {"relevance": -1.0, "mean_similarity": -1.0, "known_words": 0.0, "coverage": 0.0, "rarity": 0.0,
         "nearest_question": 1.0, "nearest_sentence": -1.0, "words": 1.0}
    )  # fmt: skip
    nothing = Familiarity.of([WOOL], [], lambda _: np.zeros((0, 2)))
    assert nothing.signs("wool", np.array([1.0, 0.0]), [WOOL], NO_SENTENCES)["nearest_question"] == -1.0


def test_it_is_the_same_after_a_round_trip(tmp_path: Path) -> None:
    known().save(tmp_path)
    question = ("wash wool hats football", np.array([0.6, 0.8]), [SILK, WOOL], np.array([[0.8, 0.6]]))
    assert Familiarity.load(tmp_path).signs(*question) == known().signs(*question)


@pytest.mark.parametrize("name", ["known_words.json", "known_questions.safetensors"])
@pytest.mark.parametrize("content", [None, b"", b"{}"])
def test_a_missing_or_broken_file_is_told(tmp_path: Path, name: str, content: bytes | None) -> None:
    known().save(tmp_path)
    (tmp_path / name).unlink()
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ArtifactError):
        Familiarity.load(tmp_path)
