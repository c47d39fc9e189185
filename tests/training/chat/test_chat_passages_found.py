"""Passages of training are those of serving, and what an answer rests on is found by its facts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aura.errors import DataError
from aura.paths import repo_root
from inference.chat.passages import ChatPassage, search_query
from inference.retrieval.chunks import read_pages
from inference.retrieval.knowledge_search import KnowledgeSearch
from inference.retrieval.settings import RetrievalSettings
from inference.text_embedding import text_embedder_for
from training.chat.alignment import aligned_sentences
from training.chat.passages import PassageFinder, with_support

ASK = [{"role": "user", "content": "May silk be darned by hand?"}]


@pytest.fixture(scope="module")
def finder(prepared: Path) -> Iterator[PassageFinder]:
    with PassageFinder(prepared / "knowledge" / "pages", RetrievalSettings()) as found:
        yield found


@pytest.fixture(scope="module")
def real_finder() -> Iterator[PassageFinder]:
    with PassageFinder(repo_root() / "data" / "knowledge", RetrievalSettings()) as found:
        yield found


def test_it_finds_what_the_search_of_serving_finds(finder: PassageFinder, prepared: Path) -> None:
    with KnowledgeSearch(prepared / "knowledge" / "pages", RetrievalSettings()) as search:
        hits = search.search(search_query(ASK), 9)
    found = finder.retrieve(ASK, 9)
    assert [(passage.text, passage.similarity) for passage in found] == [(hit.text, hit.similarity) for hit in hits]
    assert [finder.page_of(passage) for passage in found] == [hit.slug for hit in hits]
    assert len(set(found)) == 9
    assert found[0].source == "All about silk. Mending"
    assert found[0].text == "Darn silk by hand before the hole grows."
    assert -1 <= min(passage.similarity for passage in found) < found[0].similarity <= 1
    assert finder.retrieve(ASK, 2) == found[:2]


def test_a_follow_up_is_looked_up_with_the_question_before(finder: PassageFinder) -> None:
    asked = [
        {"role": "user", "content": "May silk be washed hot?"},
        {"role": "assistant", "content": "At 20 degrees."},
        {"role": "user", "content": "And how is it mended?"},
    ]
    assert {finder.page_of(passage) for passage in finder.retrieve(asked, 2)} == {"about-silk"}


def test_the_support_is_the_section_that_the_answer_speaks_of(finder: PassageFinder) -> None:
    def support(slugs: list[str], answer: str) -> tuple[str, list[str]]:
        found = finder.support(slugs, answer)
        assert found is not None
        return found.passage.source, found.sentences

    washing = "Wash wool at 30 degrees and dry it flat on a towel."
    assert support(["about-wool"], "Wash wool at 30 degrees.") == ("All about wool. Washing", [washing])
    assert support(["about-wool"], "Fold the wool with cedar.")[0] == "All about wool. Storing"
    assert support(["about-wool", "about-linen"], "Wash linen at 40 degrees.")[0] == "All about linen. Washing"
    assert finder.support(["about-wool"], "The museum of trains opens at nine.") is None
    assert finder.topics == {"about-wool": "care", "about-linen": "fabrics", "about-silk": "seasons"}


def test_an_unknown_page_is_named(finder: PassageFinder) -> None:
    with pytest.raises(DataError, match="no knowledge page about-hemp"):
        finder.support(["about-wool", "about-hemp"], "Wash hemp at 30 degrees.")


A, B, C = (ChatPassage(source=name, text=f"{name}.") for name in "ABC")


@pytest.mark.parametrize(
    ("retrieved", "support", "passages"),
    [([A, B], A, [A, B]), ([A, B], B, [A, B]), ([A, B], C, [C, A]), ([A], C, [C])],
)
def test_a_missed_supporting_passage_takes_the_first_place(
    retrieved: list[ChatPassage], support: ChatPassage, passages: list[ChatPassage]
) -> None:
    assert with_support(retrieved, support) == passages


@pytest.mark.parametrize(
    ("page", "answer", "targets"),
    [
        ("washing-temperatures", "Wash wool and silk at 20 to 30 °C on the wool programme with a pH-neutral detergent. The "
         "enzymes and alkali of ordinary detergent attack protein fibres. Tip: dry knits flat on a towel, since hanging wet wool "
         "adds up to 10 % in length.", ["Wool and silk: 20 to 30 °C", "Dry knits flat"]),
        ("washing-temperatures", "Viscose: 30 °C, gentle, spin at 600 turns at most.", ["Viscose: 30 °C"]),
        ("washing-temperatures", "Put shirts on hangers while they are damp and you save half of the ironing.",
         ["Hang shirts on hangers"]),
        ("washing-temperatures", "No, tumble dryers shorten the life of elastane and shrink cotton by 3 to 5 %.",
         ["Tumble dryers shorten"]),
        ("washing-temperatures", "No, blood and egg: cold water only, since heat sets protein.", ["Blood and egg"]),
        ("washing-temperatures", "Dab the marks with a damp sponge and a little vinegar, and they come off dark cloth.",
         ["Deodorant marks"]),
        ("wool-and-cashmere", "Choose two-ply yarn, because it keeps its shape, while one-ply is soft in the shop and pills "
         "within a month.", ["Two-ply yarn"]),
        ("wool-and-cashmere", "Look for about 200 g, the weight of a fine merino jumper that slides under a jacket.",
         ["A fine merino jumper"]),
        ("wool-and-cashmere", "Take 300 to 340 g/m² for winter and an open weave of 200 to 220 g/m² for summer.",
         ["Suit wool of 240"]),
        ("wool-and-cashmere", "Not really: under 50 % wool a blend seems warm in the shop, but at home it pills like acrylic.",
         ["Labels that say"]),
        ("shoe-care", "Steam the flat spots over a kettle at 20 cm and brush in one direction with a rubber or brass brush. An "
         "eraser removes shiny marks.", ["Brush when dry", "An eraser"]),
        ("shoe-care", "Leather needs about 24 hours to give off the moisture of one day.", ["Let shoes rest"]),
        ("shoe-care", "Dry canvas in the shade, because sun turns glue and white rubber yellow.", ["Canvas goes into"]),
        ("packing-light", "Put it on a hanger in the steamy bathroom after your shower, and jersey recovers overnight.",
         ["Merino, crêpe"]),
        ("packing-light", "Merino socks are dry by the morning, unlike cotton ones.", ["Wash smalls"]),
        ("autumn-transitions", "Choose boots with rubber soles and at least 3 mm of profile, so that you do not slide on leaves.",
         ["Rubber soles"]),
        ("autumn-transitions", "Yes, combine at most two hairy textures. Let the third piece be smooth leather or denim.",
         ["Combine at most two"]),
        ("autumn-transitions", "The museum of trains opens at nine on Sundays.", None),
    ],
)  # fmt: skip
def test_the_facts_of_real_dialogues_stand_in_these_sentences(
    real_finder: PassageFinder, page: str, answer: str, targets: list[str] | None
) -> None:
    found = real_finder.support([page], answer)
    if targets is None:
        assert found is None
        return
    assert found is not None
    assert [sentence[: len(target)] for sentence, target in zip(found.sentences, targets, strict=True)] == targets
    assert any(sentence in " ".join(found.passage.text.split()) for sentence in found.sentences)


def test_all_pages_are_there(real_finder: PassageFinder) -> None:
    pages = list(read_pages(repo_root() / "data" / "knowledge"))
    assert real_finder.topics == {page.slug: page.topic for page in pages}


@pytest.mark.parametrize("degrees", [30, 40, 60])
def test_a_number_decides_between_near_sentences(degrees: int) -> None:
    embed = text_embedder_for(RetrievalSettings().text_embedder).encode
    sentences = [f"The coat goes into the machine at {value} °C." for value in (30, 40, 60)]
    fact = f"You can put that coat into the machine at {degrees} degrees Celsius."
    assert aligned_sentences(fact, sentences, embed) == [f"The coat goes into the machine at {degrees} °C."]
    # The order of the sentences is that of the pages, and each counts once.
    both = f"{fact} Put it into the machine at 30 °C. Tip: into the machine at 30 °C."
    expected = [one for one in sentences if "30" in one or str(degrees) in one]
    assert aligned_sentences(both, sentences, embed) == expected


def test_nothing_is_aligned_with_nothing() -> None:
    embed = text_embedder_for(RetrievalSettings().text_embedder).encode
    assert aligned_sentences("Wash it.", [], embed) == []
    assert aligned_sentences("Hello! Yes.", ["Wash it."], embed) == []
