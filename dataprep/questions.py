"""Held-out questions of the prepared data, checked against the pages that answer them and against what is trained on.

A label that its own page does not bear out would punish right answers, and a question that is also trained on would
praise a model for its memory. Both are found here, before a night is spent.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

from aura.prepared_rows import (
    QUESTION_SPLITS,
    DialogueRow,
    QueryRow,
    QuestionRow,
    RowType,
    good_rows,
    scan_rows,
    write_rows,
)
from aura.problems import Problems
from aura.wording import plain_text, says
from inference.chat.sentences import split_sentences
from inference.retrieval.chunks import Page, cut_page, read_pages

_WHOLE_SECTIONS = 1_000_000
"""Words of the longest chunk: sections stay whole."""


def copy_questions(knowledge_dir: Path, out: Path, problems: Problems) -> dict[str, list[QuestionRow]]:
    """Write the questions of both splits, and return them by split.

    A knowledge base of one's own may have none: the files are empty then, and nothing can be said of answers.

    Raises:
        DataError: pages are missing or broken.
    """
    sentences = {page.slug: _sentences(page) for page in read_pages(knowledge_dir)}
    asked_in_training = _asked_in_training(knowledge_dir)
    first_use: dict[tuple[str, ...], str] = {}
    ids: list[str] = []
    questions: dict[str, list[QuestionRow]] = {split: [] for split in QUESTION_SPLITS}
    for split, rows in questions.items():
        for number, row in _rows(knowledge_dir / "questions" / f"{split}.jsonl", QuestionRow, problems):
            where = f"questions/{split}.jsonl, row {number} ({row.id})"
            for problem in _label_problems(row, sentences):
                problems.add(where, problem)
            if row.questions in asked_in_training:
                problems.add(where, f"is also in {asked_in_training[row.questions]}: ask something else")
            if row.questions in first_use:
                problems.add(where, f"asks the same as {first_use[row.questions]}: take one out")
            first_use.setdefault(row.questions, row.id)
            ids.append(row.id)
            rows.append(row)
        write_rows(out / f"{split}.jsonl", rows)
    problems.unique(ids, "question ids")
    return questions


def _label_problems(row: QuestionRow, sentences: Mapping[str, list[str]]) -> Iterator[str]:
    """What the named pages do not bear out."""
    unknown = [slug for slug in row.documents if slug not in sentences]
    if unknown:
        yield f"unknown pages {', '.join(unknown)}"
        return
    named = [sentence for slug in row.documents for sentence in sentences[slug]]
    for fact in row.must_hold:
        holding = [sentence for sentence in named if any(says(sentence, wording) for wording in fact)]
        if not holding:
            yield f"no sentence of {', '.join(row.documents)} says {' or '.join(map(repr, fact))}: quote the page"
        for wrong in row.must_not_say:
            if any(says(sentence, wrong) for sentence in holding):
                yield f"{wrong!r} must not be said, but stands beside {fact[0]!r} in the page: a quotation would be punished"


def _sentences(page: Page) -> list[str]:
    return [sentence for chunk in cut_page(page, _WHOLE_SECTIONS) for sentence in split_sentences(chunk.text)]


def _asked_in_training(knowledge_dir: Path) -> dict[tuple[str, ...], str]:
    """Where each run of questions is asked. Of a dialogue that asks A, B, C these are A, B, C, AB, BC and ABC."""
    # What is wrong with these files is told by those who copy them.
    ignored = Problems()
    found: dict[tuple[str, ...], str] = {}
    for file in sorted((knowledge_dir / "queries").glob("*.jsonl")):
        for number, query in _rows(file, QueryRow, ignored):
            found[plain_text(query.query),] = f"queries/{file.name}, row {number}"
    for file in sorted((knowledge_dir / "dialogues").glob("*.jsonl")):
        for _, dialogue in _rows(file, DialogueRow, ignored):
            asked = [plain_text(message.content) for message in dialogue.messages if message.role == "user"]
            for begin, end in combinations(range(len(asked) + 1), 2):
                found[tuple(asked[begin:end])] = f"dialogues/{file.name}, {dialogue.id}"
    return found


def _rows(file: Path, schema: type[RowType], problems: Problems) -> Iterator[tuple[int, RowType]]:
    if file.is_file():
        yield from good_rows(scan_rows(file, schema), f"{file.parent.name}/{file.name}", problems)
