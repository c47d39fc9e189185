"""Answers are held against the key facts of their questions, and the metrics are those of the formulas."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from aura.errors import DataError
from flows.gate import judge
from inference.chat.answer import DECLINED, AnswerSentence
from inference.chat.passages import ChatPassage
from tests.training.chat.conftest import question
from training.chat.metrics import (
    answer_metrics,
    facts_in_passages,
    judged_answers,
    slice_members,
    slice_truthfulness,
)
from training.chat.questions import (
    AskedQuestion,
    JudgedAnswer,
    judge_answers,
    read_questions,
    require_questions,
)
from training.chat.settings import ChatSettings
from training.chat.spec import ChatGate
from training.evaluate import judging

WOOL = ChatPassage(source="Wool", text="Wash wool at 30 °C. Dry it flat on a towel. Never wring it.", similarity=0.4)
SILK = ChatPassage(source="Silk", text="Wash silk at 20 °C.", similarity=0.6)
QUOTE = AnswerSentence("Wash wool at 30 °C.", 0, "quoted")
DRY = AnswerSentence("Dry it flat on a towel.", 0, "quoted")
OTHER = AnswerSentence("Wash silk at 20 °C.", 1, "quoted")


def asked(name: str = "q", *, scope: bool = True) -> AskedQuestion:
    message = {"role": "user", "content": "How do I wash wool?"}
    row = question(name, [message])
    if scope:
        row = question(name, [message], ["wool"], [["at 30 degrees", "lukewarm"], ["dry it flat"]], ["20 °C", "tumble"])
    return AskedQuestion(row=row, messages=[message], passages=[WOOL, SILK], pages=["wool", "silk"])


def judged(*sentences: AnswerSentence, name: str = "q", scope: bool = True) -> JudgedAnswer:
    return judge_answers([asked(name, scope=scope)], lambda _: iter(sentences))[0]


@pytest.mark.parametrize(
    ("sentences", "facts"),
    [
        ([QUOTE], 0.5),
        ([QUOTE, DRY], 1.0),
        ([AnswerSentence("Lukewarm!", 0, "supported")], 0.5),
        ([AnswerSentence("Wash it at 130 °C.", 0, "supported")], 0.0),
        ([AnswerSentence("Dry it", 0, "supported"), AnswerSentence("flat.", 0, "supported")], 1 / 2),
        ([DECLINED], 0.0),
        ([], 0.0),
    ],
)
def test_facts_are_said_in_any_of_their_wordings(sentences: list[AnswerSentence], facts: float) -> None:
    assert judged(*sentences).facts == facts


def test_what_must_not_be_said_contradicts() -> None:
    assert judged(OTHER).contradicts
    assert judged(QUOTE, OTHER).contradicts
    assert not judged(QUOTE).contradicts
    assert not judged(DECLINED).contradicts
    assert not judged(OTHER, scope=False).contradicts


def test_declined_is_the_sentence_that_says_so_or_no_sentence() -> None:
    assert judged(DECLINED).declined
    assert judged().declined
    assert not judged(QUOTE).declined
    assert not judged(AnswerSentence("I have nothing on that.", None, "supported")).declined
    assert judged(DECLINED).unsupported == judged(DECLINED).rightly_cited == 0


@pytest.mark.parametrize(
    ("sentence", "unsupported", "rightly_cited"),
    [
        (QUOTE, 0, 1),
        (OTHER, 0, 0),  # stands in its passage, but no page that answers
        (AnswerSentence(QUOTE.text, 1, "quoted"), 1, 0),  # cites another passage
        (AnswerSentence("Wash wool at 90 °C.", 0, "quoted"), 1, 1),
        (AnswerSentence("Wash wool at 90 °C.", 0, "replaced"), 1, 1),
        (AnswerSentence("Keep it lukewarm.", 0, "supported"), 0, 1),
        (AnswerSentence(QUOTE.text, None, "quoted"), 1, 0),
    ],
)
def test_a_sentence_must_stand_in_what_it_cites(sentence: AnswerSentence, unsupported: int, rightly_cited: int) -> None:
    answer = judged(sentence)
    assert (answer.unsupported, answer.rightly_cited) == (unsupported, rightly_cited)


def test_a_sentence_is_relevant_where_its_passage_is_of_a_right_page_and_holds_a_key_fact() -> None:
    near = ChatPassage(source="Wool. Storing", text="Keep wool with cedar.")
    borrowed = ChatPassage(source="Silk. Drying", text="Dry it flat.")
    message = {"role": "user", "content": "How do I wash wool?"}
    row = question("q", [message], ["wool"], [["at 30 degrees"], ["dry it flat"]])
    one = AskedQuestion(
        row=row, messages=[message], passages=[WOOL, near, borrowed], pages=["wool", "wool", "silk"]
    )  # fmt: skip
    assert one.answering == (True, False, False)
    never, keep, flat = (
        AnswerSentence(text, place, "quoted")
        for place, text in enumerate(("Never wring it.", "Keep wool with cedar.", "Dry it flat."))
    )

    def relevance(*sentences: AnswerSentence) -> tuple[int, bool]:
        answer = judge_answers([one], lambda _: sentences)[0]
        return answer.relevant, answer.beside_the_point

    assert relevance(never) == (1, False)  # says no key fact, from the section that does
    assert relevance(keep) == (0, True)  # the right page, another section
    assert relevance(flat) == (0, False)  # says a key fact in another page's words
    assert relevance(never, keep) == (1, False)
    assert relevance(DECLINED) == (0, False)
    outside = judge_answers([asked(scope=False)], lambda _: [OTHER])[0]
    assert (outside.relevant, outside.beside_the_point) == (0, False)


def test_an_answer_beside_the_point_costs_more_than_declining() -> None:
    beside = judged(AnswerSentence("Keep it lukewarmish.", 1, "quoted"))
    assert beside.beside_the_point
    assert not beside.contradicts
    metrics = answer_metrics([beside, judged(QUOTE, DRY), judged(DECLINED)])
    assert (metrics["answer_relevance"], metrics["sentence_relevance"]) == pytest.approx((1 / 2, 2 / 3))
    assert metrics["truthfulness"] == pytest.approx((-1 + 1 + 0) / 3)


def test_the_gate_keeps_a_champion_from_a_challenger_that_answers_beside_the_point() -> None:
    """Both say the same key facts; where the champion declines, the challenger quotes what was not asked for."""
    beside = AnswerSentence("Keep it lukewarmish.", 1, "quoted")

    def answers(other: AnswerSentence) -> list[JudgedAnswer]:
        return [judged(*((QUOTE, DRY) if place % 4 else (other,)), name=str(place)) for place in range(80)]

    new, old = answers(beside), answers(DECLINED)
    comparison = {
        role: {"metrics": answer_metrics(of)} for role, of in (("challenger", new), ("champion", old))
    } | {"judging": judging(judged_answers(new), judged_answers(old), {}, seed=7)}  # fmt: skip
    verdict = judge(comparison, ChatGate())
    assert (verdict.promote, verdict.finding) == (False, "worse")
    of_answers = comparison["judging"]["champion"]["answer_relevance"]
    assert (of_answers["new"], of_answers["old"], of_answers["finding"]) == (0.75, 1.0, "worse")
    assert comparison["judging"]["champion"]["fact_recall"]["gain"] == 0


def test_repetitions_are_counted_and_answers_are_timed() -> None:
    answer = judged(QUOTE, DRY, QUOTE, QUOTE)
    assert answer.repeated == 2
    assert answer.text == " ".join(one.text for one in (QUOTE, DRY, QUOTE, QUOTE))
    assert 0 < answer.seconds[0] <= answer.seconds[1]
    nothing = judged()
    assert nothing.seconds[0] == nothing.seconds[1]


def sample() -> list[JudgedAnswer]:
    """Half right; wrong; declined; rightly declined; answered out of scope, with a repetition."""
    return [
        judged(QUOTE, AnswerSentence("Never wring it.", 0, "quoted"), name="half"),
        judged(OTHER, name="wrong"),
        judged(DECLINED, name="declined"),
        judged(DECLINED, name="refused", scope=False),
        judged(QUOTE, QUOTE, name="invented", scope=False),
    ]


def test_metrics_are_those_of_the_formulas() -> None:
    metrics = answer_metrics(sample())
    seconds = {name: metrics.pop(name) for name in ("first_sentence_seconds", "answer_seconds")}
    assert metrics == pytest.approx(
        {
            "truthfulness": (0.5 - 1 + 0 + 1 - 1) / 5,
            "fact_recall": 0.5 / 3,
            "contradictions": 1 / 3,
            "unsupported": 0.0,
            "correct_refusals": 1 / 2,
            "false_refusals": 1 / 3,
            "citation_precision": 2 / 3,
            "sentence_relevance": 2 / 3,
            "answer_relevance": 1 / 2,
            "repetition": 1 / 5,
            "sentences": 3 / 2,
        }
    )
    assert all(0 <= value < 60 for value in seconds.values())
    wrong = answer_metrics([*sample(), judged(AnswerSentence(QUOTE.text, 1, "quoted"))])
    assert wrong["unsupported"] == pytest.approx(1 / 6)


def test_a_contradiction_costs_more_than_declining_however_many_facts_are_said() -> None:
    both = answer_metrics([judged(QUOTE, DRY, OTHER)])
    assert (both["truthfulness"], both["fact_recall"]) == (-1.0, 1.0)
    assert answer_metrics([judged(DECLINED)])["truthfulness"] == 0.0
    assert answer_metrics([judged(QUOTE, DRY)])["truthfulness"] == 1.0


def test_what_nothing_defines_is_nan() -> None:
    declined = answer_metrics([judged(DECLINED)])
    undefined = (
        "unsupported",
        "citation_precision",
        "sentence_relevance",
        "answer_relevance",
        "repetition",
        "sentences",
    )
    for name in (*undefined, "correct_refusals"):
        assert math.isnan(declined[name]), name
    assert declined["false_refusals"] == 1.0
    outside = answer_metrics([judged(DECLINED, scope=False)])
    for name in ("fact_recall", "contradictions", "false_refusals"):
        assert math.isnan(outside[name]), name
    assert outside["truthfulness"] == outside["correct_refusals"] == 1.0


def test_a_weight_counts_as_a_repetition() -> None:
    answers = sample()
    counts = np.array([2, 0, 1, 3, 1])
    weighted = judged_answers(answers).measure(counts)
    repeated = judged_answers([answer for answer, count in zip(answers, counts, strict=True) for _ in range(count)])
    for name in answer_metrics(answers).keys() & weighted.keys():
        assert weighted[name] == pytest.approx(repeated.values[name], nan_ok=True), name
    assert math.isnan(judged_answers(answers).measure(np.zeros(5, dtype=int))["truthfulness"])


def test_slices_are_the_kinds_of_three_questions_and_more() -> None:
    answers = sample()
    assert slice_members(answers) == {"kind": {"answerable": [0, 1, 2]}}
    assert slice_truthfulness(answers) == {"kind": {"answerable": pytest.approx(-0.5 / 3)}}
    cases = judged_answers(answers)
    assert (cases.unit, cases.sizes) == ("questions", {"kind answerable": 3})
    assert cases.cases == ("half", "wrong", "declined", "refused", "invented")
    assert cases.values["kind answerable"] == pytest.approx(-0.5 / 3)
    assert cases.measure(np.array([3, 1, 0, 9, 9]))["kind answerable"] == pytest.approx((1.5 - 1) / 4)


def test_the_facts_in_the_passages_are_the_most_that_can_be_said() -> None:
    assert facts_in_passages(sample()) == 1.0
    far = judge_answers(
        [AskedQuestion(row=asked().row, messages=asked().messages, passages=[SILK], pages=["silk"])], lambda _: []
    )
    assert facts_in_passages(far) == 0.0
    assert math.isnan(facts_in_passages([judged(DECLINED, scope=False)]))


def test_questions_are_read_with_what_serving_finds(prepared: Path, settings: ChatSettings) -> None:
    found = read_questions(prepared, "test", settings)
    assert len(found) == 12
    assert [one.in_scope for one in found] == [True, True, True, False] * 3
    assert all(len(one.passages) == len(one.pages) == settings.passages for one in found)
    wash = found[0]
    assert (wash.pages[0], wash.passages[0].source) == ("about-wool", "All about wool. Washing")
    nearest = [max(passage.similarity for passage in one.passages) for one in found]
    assert nearest[0] > nearest[3]
    assert [message["role"] for message in found[2].messages] == ["user", "assistant", "user"]
    assert [one.row.id for one in read_questions(prepared, "test", settings, 5)] == [one.row.id for one in found[:5]]


def test_questions_that_are_missing_or_broken_are_told(prepared: Path, tmp_path: Path, settings: ChatSettings) -> None:
    data = Path(shutil.copytree(prepared, tmp_path / "data"))
    path = data / "knowledge" / "questions" / "test.jsonl"
    path.write_text('{"id": "a"}\n', encoding="utf-8")
    with pytest.raises(DataError, match="row 1"):
        read_questions(data, "test", settings)
    path.unlink()
    with pytest.raises(DataError, match="is missing"):
        read_questions(data, "test", settings)
    with pytest.raises(DataError, match=r"knowledge/questions/test\.jsonl") as told:
        require_questions([], "test")
    assert "key facts" in str(told.value.hint)
    require_questions([asked()], "test")
