"""Held-out questions with the passages that serving finds for them, and answers judged by their key facts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from aura.errors import DataError
from aura.prepared_rows import QuestionRow, read_rows
from aura.wording import says
from inference.chat.answer import DECLINED, AnswerSentence
from inference.chat.model import ChatModel
from inference.chat.passages import ChatPassage, search_query
from training.chat.passages import PassageFinder
from training.chat.settings import ChatSettings

OUT_OF_SCOPE = "out-of-scope"


@dataclass(frozen=True, kw_only=True)
class AskedQuestion:
    """A question as it is put to a model."""

    row: QuestionRow
    messages: list[dict[str, str]]
    passages: list[ChatPassage]
    """What the search finds for it, best first."""
    pages: list[str]
    """Slug of the page of each passage."""

    @property
    def in_scope(self) -> bool:
        return self.row.kind != OUT_OF_SCOPE

    @cached_property
    def answering(self) -> tuple[bool, ...]:
        """Whether each passage answers: it is of a page that does, and holds a key fact."""
        facts = self.row.must_hold
        return tuple(
            page in self.row.documents and any(says(passage.text, wording) for fact in facts for wording in fact)
            for page, passage in zip(self.pages, self.passages, strict=True)
        )


@dataclass(frozen=True, kw_only=True)
class JudgedAnswer:
    """One answer, held against what is known of its question.

    Attributes:
        facts: share of the key facts that it says; 0 for a question out of scope.
        contradicts: it says what a right answer must not say.
        unsupported: sentences that do not stand in the passage that they cite.
        rightly_cited: sentences that cite a page that answers the question.
        relevant: sentences that cite a passage that answers it, which is more: the page on weddings and funerals has both.
        repeated: sentences that it said before.
        seconds: until the first sentence, and until the end.
    """

    question: AskedQuestion
    sentences: tuple[AnswerSentence, ...]
    declined: bool
    facts: float
    contradicts: bool
    unsupported: int
    rightly_cited: int
    relevant: int
    repeated: int
    seconds: tuple[float, float]

    @property
    def text(self) -> str:
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def beside_the_point(self) -> bool:
        """It answers something else: it says no key fact, and cites no passage that holds one."""
        return self.question.in_scope and not self.declined and not self.facts and not self.relevant


def read_questions(data_dir: Path, split: str, settings: ChatSettings, most: int | None = None) -> list[AskedQuestion]:
    """The first questions of a split, each with its passages.

    Raises:
        DataError: the file is missing or broken, or the pages are.
    """
    rows = read_rows(data_dir / "knowledge" / "questions" / f"{split}.jsonl", QuestionRow)[:most]
    with PassageFinder(data_dir / "knowledge" / "pages", settings.retrieval) as finder:
        asked = [[message.model_dump() for message in row.messages] for row in rows]
        finder.embedder.encode([search_query(messages) for messages in asked])  # ahead, all at once
        return [_asked(row, messages, finder, settings.passages) for row, messages in zip(rows, asked, strict=True)]


def require_questions(questions: Sequence[AskedQuestion], split: str) -> None:
    """Refuse an empty split.

    Raises:
        DataError: there is no question.
    """
    if not questions:
        raise DataError(
            f"no held-out questions: answers cannot be judged without knowledge/questions/{split}.jsonl",
            hint="write some beside the pages, each with its key facts; CONTRIBUTING.md says how",
        )


def judge_answers(
    questions: Sequence[AskedQuestion], answer: Callable[[AskedQuestion], Iterable[AnswerSentence]]
) -> list[JudgedAnswer]:
    """Ask each question, and judge what comes.

    Args:
        answer: the sentences of an answer; an iterator is timed sentence by sentence.
    """
    return [_judged(question, answer) for question in questions]


def answers_of(model: ChatModel, questions: Sequence[AskedQuestion]) -> list[JudgedAnswer]:
    """Ask a model as it is served, and judge what it says."""
    return judge_answers(questions, lambda question: model.answer(question.messages, question.passages))


def _judged(question: AskedQuestion, answer: Callable[[AskedQuestion], Iterable[AnswerSentence]]) -> JudgedAnswer:
    began = time.perf_counter()
    first = 0.0
    sentences = []
    for sentence in answer(question):
        first = first or time.perf_counter() - began
        sentences.append(sentence)
    total = time.perf_counter() - began
    declined = not sentences or sentences[-1] is DECLINED
    text = "" if declined else " ".join(sentence.text for sentence in sentences)
    facts = question.row.must_hold
    return JudgedAnswer(
        question=question,
        sentences=tuple(sentences),
        declined=declined,
        facts=sum(any(says(text, wording) for wording in fact) for fact in facts) / len(facts) if facts else 0.0,
        contradicts=any(says(text, wording) for wording in question.row.must_not_say),
        unsupported=0 if declined else sum(not _stands(sentence, question.passages) for sentence in sentences),
        rightly_cited=0 if declined else sum(_right(sentence, question) for sentence in sentences),
        relevant=0 if declined else sum(_relevant(sentence, question) for sentence in sentences),
        repeated=len(sentences) - len({sentence.text for sentence in sentences}),
        seconds=(first or total, total),
    )


def _asked(row: QuestionRow, messages: list[dict[str, str]], finder: PassageFinder, count: int) -> AskedQuestion:
    found = finder.retrieve(messages, count)
    return AskedQuestion(row=row, messages=messages, passages=found, pages=[finder.page_of(one) for one in found])


def _stands(sentence: AnswerSentence, passages: Sequence[ChatPassage]) -> bool:
    if sentence.passage is None:
        return False
    # "supported" was checked when the answer was made; the words of the others must stand in the passage.
    return sentence.status == "supported" or says(passages[sentence.passage].text, sentence.text)


def _right(sentence: AnswerSentence, question: AskedQuestion) -> bool:
    return sentence.passage is not None and question.pages[sentence.passage] in question.row.documents


def _relevant(sentence: AnswerSentence, question: AskedQuestion) -> bool:
    return sentence.passage is not None and question.answering[sentence.passage]
