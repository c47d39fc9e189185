"""Test collections of retrieval research: documents, queries, and which documents answer which query.

Three families of formats are told apart by their content:

    BEIR    corpus and queries as JSON Lines (`_id`, `title`, `text`), judgements as TSV with a header
    SMART   `.I 1`, `.T`, `.W` ... as Cranfield, CISI and Medline are given out; judgements `query document grade`
    TREC    `<DOC><DOCNO>`, topics as `<top><num>`; judgements `query iteration document grade`

A grade above 0 means relevant. Two traps of the Cranfield collection are stepped over. Its judgements count queries in
the order of the file, whose own numbers have gaps: where numbers have gaps and all judged ones can be positions, they are
positions. And its grades of three columns run from 1, the best, to 4: they are taken as relevant, without a degree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field

from aura.errors import DataError
from aura.prepared_rows import Row, good_rows, scan_rows
from aura.problems import Problems

_HINT = "known formats: BEIR (JSON Lines, TSV), SMART (.I .T .W) and TREC (<DOC>, <top>, qrels of four columns)"
_Optional = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]


class Document(Row):
    """A document or a query, as BEIR writes it; what else a row holds is not read."""

    model_config = ConfigDict(extra="ignore", coerce_numbers_to_str=True)

    id: str = Field(alias="_id", pattern=r"\S")
    title: _Optional = ""
    text: _Optional


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Documents and queries by id.

    Attributes:
        grades: query to its relevant documents and their grades above 0; at least one per query.
        notes: what was left out or decided in reading.
    """

    documents: dict[str, Document]
    queries: dict[str, str]
    grades: dict[str, dict[str, float]]
    notes: list[str]


def read_collection(corpus: Path, queries: Path, qrels: Path) -> Collection:
    """Read the three files and check that they belong together.

    Raises:
        DataError: a file is missing or of no known format, or rows are broken, repeated, or name what is not there
            (the first twenty problems are listed).
    """
    problems = Problems()
    notes: list[str] = []
    documents = _by_id(_records(corpus, _DOCUMENTS, problems), corpus.name, problems)
    asked = _by_id(_records(queries, _QUERIES, problems), queries.name, problems)
    judged = list(_judgements(qrels, problems))
    names = _query_names(list(asked), judged, numbered=_first_mark(queries) != "{", notes=notes)
    for name, query in asked.items():
        if not query.text.strip():
            problems.add(queries.name, f"query {name!r} is empty")
    grades: dict[str, dict[str, float]] = {}
    for where, query, document, grade in judged:
        name, known = names.get(query, query), _plain(document) if document not in documents else document
        if name not in asked:
            problems.add(where, f"no query {query!r} in {queries.name}")
        if known not in documents:
            problems.add(where, f"no document {document!r} in {corpus.name}")
        if grade > 0:
            grades.setdefault(name, {})[known] = grade
    problems.raise_if_any("the collection", hint="correct these rows, or give files that belong together")
    empty = [name for name, document in documents.items() if not (document.title + document.text).strip()]
    unjudged = len(asked) - len(grades)
    if empty:
        notes.append(f"{len(empty)} empty documents are left out")
    if unjudged:
        notes.append(f"{unjudged} queries without a relevant document are left out")
    if not grades:
        raise DataError(f"no query of {queries.name} has a relevant document in {qrels.name}", hint=_HINT)
    return Collection(
        documents={name: document for name, document in documents.items() if name not in empty},
        queries={name: asked[name].text for name in asked if name in grades},
        grades=grades,
        notes=notes,
    )


_Parsed = Iterator[tuple[str, Document]]
"""Where in the file, and what."""


def _beir(path: Path, problems: Problems) -> _Parsed:
    for number, row in good_rows(scan_rows(path, Document, _HINT), path.name, problems):
        yield f"{path.name}, row {number}", row


def _smart(path: Path, problems: Problems) -> _Parsed:
    """`.I number`, then fields of one letter: title `.T`, text `.W`."""
    for number, record in enumerate(re.split(r"(?m)^\.I\b", _text(path))[1:], start=1):
        where = f"{path.name}, record {number}"
        head, *fields = re.split(r"(?m)^\.([A-Z])[ \t]*$", record)
        values = dict(zip(fields[::2], map(_joined, fields[1::2]), strict=True))
        if not head.strip().isdigit():
            problems.add(where, f".I must be followed by a number and fields, not {_joined(head)[:80]!r}")
            continue
        title = values.get("T", "")
        # Cranfield repeats the title at the beginning of the text.
        text = values.get("W", "").removeprefix(title).strip()
        yield where, Document.model_validate({"_id": _plain(head.strip()), "title": title, "text": text})


def _trec_documents(path: Path, problems: Problems) -> _Parsed:
    """`<DOCNO>`, a title or headline, and `<TEXT>`; without that, all that is in the record."""
    for where, identifier, fields in _tagged(path, "doc", "docno", problems):
        title = fields.get("title") or fields.get("headline") or fields.get("head") or ""
        text = fields.get("text") or " ".join(fields.values())
        content = {"title": title, "text": text.removeprefix(title).strip()}
        yield where, Document.model_validate({"_id": identifier} | content)


def _trec_topics(path: Path, problems: Problems) -> _Parsed:
    """`<num>` and `<title>`, what a user would type; the description and the narrative are for the judges."""
    for where, identifier, fields in _tagged(path, "top", "num", problems):
        text = re.sub(r"(?i)^topic:\s*", "", fields.get("title", ""))
        if not text:
            problems.add(where, "has no <title>")
        yield where, Document.model_validate({"_id": identifier, "text": text})


def _tagged(path: Path, record: str, name: str, problems: Problems) -> Iterator[tuple[str, str, dict[str, str]]]:
    """Where, identifier and fields of records in angle brackets; older TREC files do not close the fields in them."""
    found = re.findall(rf"<{record}>(.*?)</{record}>", _text(path), re.DOTALL | re.IGNORECASE)
    for number, content in enumerate(found, start=1):
        where = f"{path.name}, <{record}> {number}"
        _, *pieces = re.split(r"<(\w+)[^>]*>", re.sub(r"</\w+>", "", content))
        fields: dict[str, str] = {}
        for tag, value in zip(pieces[::2], pieces[1::2], strict=True):
            fields[tag.lower()] = _joined(f"{fields.get(tag.lower(), '')} {unescape(value)}")
        identifier = re.sub(r"(?i)^number:\s*", "", fields.pop(name, ""))
        if identifier:
            yield where, _plain(identifier), fields
        else:
            problems.add(where, f"has no <{name}>")


_Reader = Callable[[Path, Problems], _Parsed]
_DOCUMENTS: dict[str, _Reader] = {"{": _beir, ".": _smart, "<": _trec_documents}
_QUERIES: dict[str, _Reader] = {"{": _beir, ".": _smart, "<": _trec_topics}


def _records(path: Path, readers: dict[str, _Reader], problems: Problems) -> list[tuple[str, Document]]:
    mark = _first_mark(path)
    if mark not in readers:
        raise DataError(f"{path} is of no known format: it begins with {mark!r}", hint=_HINT)
    return list(readers[mark](path, problems))


def _by_id(found: list[tuple[str, Document]], name: str, problems: Problems) -> dict[str, Document]:
    by_id: dict[str, Document] = {}
    for where, document in found:
        if document.id in by_id:
            problems.add(where, f"{document.id!r} appears twice")
        by_id[document.id] = document
    if not found and not problems.found:
        raise DataError(f"nothing to read in {name}", hint=_HINT)
    return by_id


def _judgements(path: Path, problems: Problems) -> Iterator[tuple[str, str, str, float]]:
    """Where, query, document, grade."""
    rows = [(number, line) for number, line in enumerate(_text(path).split("\n"), start=1) if line.strip()]
    if not rows:
        raise DataError(f"nothing to read in {path.name}", hint=_HINT)
    header = rows[0][1].split() == ["query-id", "corpus-id", "score"]
    lines = [(number, line.split("\t" if header else None)) for number, line in rows]
    columns = {len(fields) for _, fields in lines}
    # CISI gives `query document 0 0.000000`: every row is a relevant pair.
    pairs = columns == {4} and all(fields[2] == "0" and not fields[3].strip("0.") for _, fields in lines)
    for number, fields in lines[header:]:
        where = f"{path.name}, row {number}"
        wanted = 3 if header else max(columns)
        if len(fields) != wanted or wanted not in (3, 4):
            expected = "query-id, corpus-id, score" if wanted == 3 else "query, iteration, document, grade"
            problems.add(where, f"{len(fields)} columns where {expected} should be")
            continue
        grade = "1" if pairs else fields[-1]
        if not re.fullmatch(r"[+-]?\d+(\.\d*)?", grade):
            problems.add(where, f"the grade must be a number, not {grade!r}")
            continue
        document = fields[2] if wanted == 4 and not pairs else fields[1]
        graded = header or wanted == 4
        yield where, fields[0], document, float(grade) if graded else float(float(grade) > 0)


def _query_names(
    ids: list[str], judged: list[tuple[str, str, str, float]], *, numbered: bool, notes: list[str]
) -> dict[str, str]:
    """Name in the judgements to id, where they differ; see the module's docstring."""
    names = {name: _plain(name) for _, name, _, _ in judged} if numbered else {}
    positions = {str(position): name for position, name in enumerate(ids, start=1)}
    if numbered and list(positions) != ids and all(name in positions for name in names.values()):
        notes.append("judgements count queries in the order of the file, whose own numbers have gaps")
        return {name: positions[plain] for name, plain in names.items()}
    return names


def _plain(number: str) -> str:
    """A number without leading zeros; anything else as it is."""
    return str(int(number)) if number.isdecimal() else number


def _joined(text: str) -> str:
    return " ".join(text.split())


def _first_mark(path: Path) -> str:
    return _text(path).lstrip()[:1]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8: {error.reason} at byte {error.start}", hint="convert the file"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint="check the path") from error
