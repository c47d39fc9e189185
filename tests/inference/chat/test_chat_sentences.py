"""Whole sentences: none is cut, none is lost."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.chat.sentences import split_sentences
from inference.retrieval.chunks import read_page

PAGES = sorted(Path("data/knowledge").glob("*.md"))

PIECES = [
    "Wash at 30 °C.", "e.g.", "No. 5", "2.5 cm", "approx.", "Wear it!", "Why?", "...", "…", "(cold.", "flat.)", '"Dry."',
    "“Air it.", "Now.”", "- an item.", "1. first.", "| a | b |", "# Care", "\n", "\n\n", "\r\n", "\t", "\u2028", "\xa0",
    "M.", "J.", "[1]", "crêpe", "毛。", "x",
]  # fmt: skip


@pytest.mark.parametrize(
    "sentences",
    [
        ["Use soft cloth, e.g. Merino or silk.", "Dry it flat."],
        ["Allow approx. 5 mm.", "Take shade No. 5 here.", "Compare linen vs. Cotton first."],
        ["See p. 3 and fig. 2 for it.", "It shrinks by max. 5 %.", "Soak it for 15 min. or less."],
        ["Soak it for 15 min.", "Then rinse."],
        ["The hem is 2.5 cm wide.", "3.5 cm is too much."],
        ["Wash at 30 °C.", "Iron at 110 °C.", "20 °C is enough for silk."],
        ["Take 2 to 3 cm, or 2-3 cm.", "1\u20131.5 cm shows."],
        ["No.", "30 °C is enough."],
        ["No.", "Never rub it."],
        ['He said "wash it."', "Then it shrank.", "(Silk too.)", "It is gone."],
        ["“Wash it. Dry it.”", "That is all."],
        ["Hang it (never fold. Ever.) on wood.", "Done."],
        ["A bracket (left open is no reason.", "This is the next one."],
        ["Wait... then brush.", "Perhaps...", "Brush it.", "Or not…", "Yes."],
        ["Does it shrink?", "Yes!", "It does?!", "Quite."],
        ['"Does it shrink?" she asked.', "It did."],
        ["Wear size M.", "Larger ones hang.", "Take vitamin C.", "It helps."],
        ["Coats by Mary J. Smith last.", "J. Smith knows."],
        ["Wash wool cold. [1]", "Dry it flat.[2][3]", "**Never wring it.**", "Air it."],
        ["Zum Café gehört crêpe.", "Élégant is next.", "Ärmel follow."],
    ],
)
def test_it_ends_where_a_reader_would(sentences: list[str]) -> None:
    assert split_sentences(" ".join(sentences)) == sentences


def test_line_breaks_are_blanks_but_for_items_rows_and_headings() -> None:
    text = (
        "# Care of wool\nWash it cold. Dry\nit flat. Like this:\n\n- Soak it. Never rub.\n- Roll it\n  in a towel\n"
        "1. Rinse. Twice.\n\nThe end. Almost\n\n| cloth | wash |\n| wool | 20 °C. Cold |\nThat\r\nis all."
    )
    assert split_sentences(text) == [
        "# Care of wool", "Wash it cold.", "Dry it flat.", "Like this:", "- Soak it. Never rub.", "- Roll it in a towel",
        "1. Rinse. Twice.", "The end.", "Almost", "| cloth | wash |", "| wool | 20 °C. Cold |", "That is all.",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["", " ", "\n \n", "\u2028"])
def test_nothing_has_no_sentences(text: str) -> None:
    assert split_sentences(text) == []


@given(
    st.one_of(
        st.text(), st.lists(st.sampled_from(PIECES)).map(" ".join), st.lists(st.sampled_from(PIECES)).map("".join)
    )
)
def test_nothing_is_lost_and_a_sentence_is_one_sentence(text: str) -> None:
    sentences = split_sentences(text)
    assert " ".join(sentences) == " ".join(text.split())
    assert [split_sentences(sentence) for sentence in sentences] == [[sentence] for sentence in sentences]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_pages_fall_into_whole_sentences(path: Path) -> None:
    body = read_page(path).body
    sentences = split_sentences(body)
    assert " ".join(sentences) == " ".join(body.split())
    prose = [sentence for sentence in sentences if not sentence.startswith("#")]
    assert len(prose) > 5
    for sentence in prose:
        assert sentence.endswith(".")
        assert not sentence[0].islower()
        assert 3 <= len(sentence.split()) <= 42
