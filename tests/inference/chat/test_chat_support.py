"""What passages say is kept, what they speak against never passes, and nothing else is shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from inference.chat.grounding import grounded_answer
from inference.chat.passages import passage_text
from inference.chat.sentences import split_sentences
from inference.chat.support import CheckedSentence, SupportChecker, SupportSettings, Verdict, without_opener
from inference.text_embedding import TextEmbedder
from tests.inference.chat.support_pairs import Pair, labelled_pairs

WASHING = passage_text(
    "Washing clothes",
    "Temperature",
    "Wash wool and silk at 20 to 30 °C with a mild detergent. Never iron wool without a wet cloth. Crêpe dries flat on a towel.",
)
WEDDING = "Avoid white, ivory and champagne, unless the couple ask for it. Wedges of at least 2 cm width do not sink into grass."

Judged = list[tuple[Pair, CheckedSentence]]


@pytest.fixture(scope="module")
def embedder() -> TextEmbedder:
    return TextEmbedder()


@pytest.fixture(scope="module")
def checker(embedder: TextEmbedder) -> SupportChecker:
    return SupportChecker(embedder.encode, SupportSettings())


@pytest.fixture(scope="module")
def judged(checker: SupportChecker, embedder: TextEmbedder) -> Judged:
    """Every labelled pair of the judged half with its verdict."""
    known: dict[str, np.ndarray] = {}

    def encode(texts: list[str]) -> np.ndarray:
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(missing, embedder.encode(missing), strict=True))
        return np.stack([known[text] for text in texts])

    pairs = [pair for pair in labelled_pairs() if pair.half == "test"]
    encode([without_opener(pair.claim) for pair in pairs])
    once = SupportChecker(encode, checker.settings)
    return [(pair, once.check([pair.claim], pair.passages)[0]) for pair in pairs]


def test_the_pairs_are_many_and_fall_into_halves() -> None:
    pairs = labelled_pairs()
    by_hand = Counter(pair.truth for pair in pairs if pair.kind == "by hand")
    assert by_hand["supported"] >= 60
    assert by_hand["unsupported"] >= 60
    assert sum(pair.truth == "contradicted" for pair in pairs) >= 500
    train, test = ({pair.passages[0] for pair in pairs if pair.half == half} for half in ("train", "test"))
    assert train.isdisjoint(test)
    assert all(pair.claim not in " ".join(pair.passages) for pair in pairs if pair.truth != "supported")


@pytest.mark.parametrize("kind", ["number", "negation", "word"])
def test_a_page_made_wrong_does_not_pass(judged: Judged, kind: str) -> None:
    verdicts = [checked.verdict for pair, checked in judged if pair.kind == kind]
    assert len(verdicts) >= 60
    assert verdicts.count("supported") <= (0.02 if kind == "word" else 0.0) * len(verdicts)
    assert verdicts.count("contradicted") >= 0.8 * len(verdicts)


def test_supported_is_precise_and_finds_most_paraphrases(judged: Judged) -> None:
    passed = [pair for pair, checked in judged if checked.verdict == "supported"]
    true = sum(pair.truth == "supported" for pair in passed)
    assert true / len(passed) >= 0.9
    assert true / sum(pair.truth == "supported" for pair, _ in judged) >= 0.65
    assert not any(pair.truth == "unsupported" for pair in passed)


def test_a_supported_paraphrase_cites_the_right_passage(judged: Judged) -> None:
    cited = [
        checked.passage for pair, checked in judged if pair.truth == "supported" and checked.verdict == "supported"
    ]
    assert cited.count(0) / len(cited) >= 0.9


@pytest.mark.parametrize(
    ("sentence", "verdict"),
    [
        ("Wash wool and silk at 20 to 30 °C with a mild detergent.", "supported"),
        ("Yes, you can wash silk at 30 degrees with mild detergent.", "supported"),
        ("Tip: let crêpe dry flat on a towel!", "supported"),
        ("Hello! Of course: wash wool at 20-30 °C with a mild detergent.", "supported"),
        ("Wash wool and silk at 60 °C with a mild detergent.", "contradicted"),
        ("Wash wool and silk at 20 to 30 cm with a mild detergent.", "unsupported"),
        ("Never wash wool and silk at 20 to 30 °C with a mild detergent.", "contradicted"),
        ("Iron wool without a wet cloth.", "contradicted"),
        ("Wash cotton and silk at 20 to 30 °C with a mild detergent.", "contradicted"),
        ("Crêpe dries flat on a radiator.", "unsupported"),
        ("White is a good choice, and so are ivory and champagne.", "contradicted"),
        ("Wear white, ivory or champagne unless the couple ask for it.", "contradicted"),
        ("Do not wear white, ivory or champagne.", "supported"),
        ("Wedges of at most 2 cm width do not sink into grass.", "contradicted"),
        ("Wedges of at least 20 mm width do not sink into the grass.", "supported"),
        ("The Eiffel Tower was finished in 1889.", "unsupported"),
    ],
)
def test_rules(checker: SupportChecker, sentence: str, verdict: Verdict) -> None:
    assert checker.check([sentence], [WASHING, WEDDING])[0].verdict == verdict


def test_the_quote_is_the_nearest_sentence_and_never_the_source_line(checker: SupportChecker) -> None:
    checked = checker.check(
        ["Wear ivory or champagne to the wedding.", "Washing clothes: temperature."], [WASHING, WEDDING]
    )
    assert checked[0] == CheckedSentence(
        "Wear ivory or champagne to the wedding.", "contradicted", 1,
        "Avoid white, ivory and champagne, unless the couple ask for it.",
    )  # fmt: skip
    assert checked[1].quote != "Washing clothes."


def test_nothing_to_check_and_nothing_to_check_against(checker: SupportChecker) -> None:
    nothing = CheckedSentence("Wash wool cold.", "unsupported", None, None)
    assert checker.check([], [WASHING]) == []
    assert checker.check(["Wash wool cold."], []) == [nothing]
    assert checker.check(["Wash wool cold."], ["", " \n "]) == [nothing]
    assert [one.quote for one in checker.check(["Yes.", "毛衣", ""], [WASHING])] == [None, None, None]


def test_a_sentence_longer_than_every_passage_is_not_supported(checker: SupportChecker) -> None:
    long = "Crêpe dries flat on a towel, " + ", ".join(f"and so does fabric kind {name}" for name in "abcdefgh") + "."
    assert checker.check([long], ["Crêpe dries flat on a towel."])[0].verdict == "unsupported"


def test_sentences_are_checked_alone(checker: SupportChecker) -> None:
    sentences = ["Wash silk at 60 °C.", "Crêpe dries flat on a towel.", "No."]
    together = checker.check(sentences, [WASHING, WEDDING])
    assert together == [checker.check([sentence], [WASHING, WEDDING])[0] for sentence in sentences]


def _checked(text: str, verdict: Verdict, quote: str | None) -> CheckedSentence:
    return CheckedSentence(text, verdict, None if quote is None else 1, quote)


@pytest.mark.parametrize(
    ("checked", "shown"),
    [
        ([], []),
        ([("A.", "supported", "Q.")], [("A.", "supported")]),
        ([("A.", "contradicted", "Q.")], [("Q.", "replaced")]),
        ([("A.", "unsupported", "Q.")], [("Q.", "replaced")]),
        ([("A.", "unsupported", None)], []),
        ([("A.", "contradicted", "Q."), ("B.", "unsupported", "Q.")], [("Q.", "replaced")]),
        ([("A.", "supported", "Q."), ("B.", "contradicted", "Q.")], [("A.", "supported")]),
        ([("A.", "contradicted", "Q."), ("B.", "supported", "Q.")], [("Q.", "replaced")]),
        ([("A.", "supported", "Q."), ("A.", "supported", "Q.")], [("A.", "supported")]),
        ([("A.", "supported", "Q."), ("B.", "supported", "Q.")], [("A.", "supported"), ("B.", "supported")]),
        ([("Yes.", "unsupported", None)], []),
        ([("Yes.", "unsupported", None), ("A.", "supported", "Q.")], [("Yes.", "supported"), ("A.", "supported")]),
        ([("Hello!", "unsupported", None), ("No.", "unsupported", None), ("A.", "supported", "Q.")],
         [("Hello!", "supported"), ("No.", "supported"), ("A.", "supported")]),
        ([("Yes.", "unsupported", None), ("A.", "contradicted", "Q.")], [("Q.", "replaced")]),
        ([("Yes.", "unsupported", None), ("B.", "unsupported", None), ("A.", "supported", "Q.")], [("A.", "supported")]),
    ],
)  # fmt: skip
def test_the_answer_that_is_shown(checked: list[tuple[str, Verdict, str | None]], shown: list[tuple[str, str]]) -> None:
    answer = grounded_answer([_checked(*one) for one in checked])
    assert [(sentence.text, sentence.status) for sentence in answer] == shown
    assert {sentence.passage for sentence in answer} <= {1}


def test_an_answer_that_invents_becomes_one_that_quotes(checker: SupportChecker) -> None:
    text = "Yes! You can wash silk at 90 °C. Crêpe dries flat on a towel. Our shop opens at nine. Silk can be washed at 95 °C."
    answer = grounded_answer(checker.check(split_sentences(text), [WEDDING, WASHING]))
    assert [(sentence.text, sentence.passage, sentence.status) for sentence in answer] == [
        ("Wash wool and silk at 20 to 30 °C with a mild detergent.", 1, "replaced"),
        ("Crêpe dries flat on a towel.", 1, "supported"),
    ]


_TEXTS = st.sampled_from(["A.", "B.", "Q.", "R.", "Yes.", "Hello!"])
_QUOTES = st.sampled_from(["Q.", "R.", None])


@given(st.lists(st.builds(_checked, _TEXTS, st.sampled_from(["supported", "contradicted", "unsupported"]), _QUOTES)))
def test_an_answer_holds_only_supported_sentences_and_quotes_each_once(checked: list[CheckedSentence]) -> None:
    answer = grounded_answer(checked)
    replaced = [sentence.text for sentence in answer if sentence.status == "replaced"]
    assert len(replaced) == len(set(replaced))
    assert set(replaced) <= {one.quote for one in checked if one.verdict != "supported"}
    kept = {sentence.text for sentence in answer if sentence.status == "supported" and without_opener(sentence.text)}
    assert kept <= {one.text for one in checked if one.verdict == "supported"}


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("Yes, wear it.", "wear it."), ("No - never.", "never."), ("Tip: dry it.", "dry it."), ("Hi there! Sure, do.", "do."),
        ("Yes.", ""), ("Hello!", ""), ("Tip:", ""), ("Notebooks fit.", "Notebooks fit."),
        ("No brown in town.", "No brown in town."),
        ("Well-polished shoes.", "Well-polished shoes."), ("Tips: two.", "Tips: two."), ("", ""),
    ],
)  # fmt: skip
def test_openers_claim_nothing(text: str, rest: str) -> None:
    assert without_opener(text) == rest


@pytest.mark.parametrize(
    "settings",
    [
        {"min_entailment": 0.7},
        {"entailment": "./nli", "min_coverage": 0.7},
        {"entailment": "./nli", "min_similarity": 0.7},
    ],
)
def test_a_setting_that_would_be_ignored_is_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="would be ignored"):
        SupportSettings.model_validate(settings)


def test_an_entailment_model_decides_but_passes_no_wrong_number(embedder: TextEmbedder) -> None:
    asked: list[tuple[str, str]] = []

    def entail(pairs: list[tuple[str, str]]) -> np.ndarray:
        asked.extend(pairs)
        return np.array([0.9 if "comfort" in claim else 0.1 for _, claim in pairs], dtype=np.float32)

    settings = SupportSettings(entailment="./nli")
    checker = SupportChecker(embedder.encode, settings, entail)
    sentences = ["Crêpe dries on towels in comfort.", "Crêpe dries flat on a towel.", "Wash silk in comfort at 60 °C."]
    verdicts = [one.verdict for one in checker.check(sentences, [WASHING])]
    assert verdicts == ["supported", "unsupported", "contradicted"]
    assert {claim for _, claim in asked} == set(sentences[:2])


@pytest.mark.parametrize(
    ("settings", "entail"), product([SupportSettings(), SupportSettings(entailment="./nli")], [None, np.zeros])
)
def test_model_and_settings_belong_together(
    embedder: TextEmbedder, settings: SupportSettings, entail: Callable[..., np.ndarray] | None
) -> None:
    if (entail is None) == (settings.entailment is None):
        SupportChecker(embedder.encode, settings, entail)
    else:
        with pytest.raises(ValueError, match="entail"):
            SupportChecker(embedder.encode, settings, entail)
