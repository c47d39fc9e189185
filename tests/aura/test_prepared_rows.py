"""Rows survive a file whatever their text is, and a broken one is named by file, number and field."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aura.errors import DataError
from aura.paths import repo_root
from aura.prepared_rows import (
    BoxRow,
    BrokenRow,
    CatalogRow,
    DialogueRow,
    ItemRow,
    MessageRow,
    QueryRow,
    QuestionRow,
    Row,
    check_rows,
    iter_rows,
    read_rows,
    scan_rows,
    write_rows,
)
from aura.taxonomy import Category

# Every code point that UTF-8 can hold: surrogates alone are no text. Line breaks of Unicode come often.
_TEXTS = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029\ufeff\0")
)
_FILLED = _TEXTS.filter(bool)
_ITEMS = st.builds(
    ItemRow,
    item_id=_FILLED,
    category=st.sampled_from(Category),
    title=_TEXTS,
    attributes=st.dictionaries(_TEXTS, _TEXTS, max_size=3),
    image=st.none() | _TEXTS,
)
_DIALOGUES = st.builds(
    DialogueRow,
    id=_FILLED,
    documents=st.lists(_TEXTS, min_size=1, max_size=3).map(tuple),
    messages=st.lists(
        st.builds(MessageRow, role=st.sampled_from(["user", "assistant"]), content=_FILLED), min_size=2, max_size=4
    ).map(tuple),
    group=_TEXTS,
)
ITEM = {"item_id": "a", "category": "tops"}
_quick = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_quick
@given(rows=st.lists(_ITEMS, max_size=5))
def test_items_survive_a_file(rows: list[ItemRow], tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    assert write_rows(path, rows) == len(rows)
    assert read_rows(path, ItemRow) == rows
    assert path.read_bytes().count(b"\n") == len(rows)
    assert [entry.name for entry in tmp_path.iterdir()] == ["items.jsonl"]


@_quick
@given(rows=st.lists(_DIALOGUES, max_size=3))
def test_dialogues_survive_a_file(rows: list[DialogueRow], tmp_path: Path) -> None:
    write_rows(tmp_path / "train.jsonl", rows)
    assert list(iter_rows(tmp_path / "train.jsonl", DialogueRow)) == rows


@_quick
@given(content=st.binary(max_size=200))
def test_whatever_a_file_holds_rows_come_or_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_bytes(content)
    numbers = [number for number, _ in scan_rows(path, QueryRow)]
    lines = content.split(b"\n")
    assert numbers == [number for number, line in enumerate(lines, start=1) if line.strip()]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\v", "\f", "\r", "\x1c"])
def test_what_unicode_calls_a_line_break_ends_no_row(separator: str, tmp_path: Path) -> None:
    row = ItemRow(item_id="a", category=Category.TOPS, title=f"wool{separator}coat")
    write_rows(tmp_path / "items.jsonl", [row, row])
    assert read_rows(tmp_path / "items.jsonl", ItemRow) == [row, row]
    if separator not in "\v\f\r\x1c":  # JSON escapes control characters below U+0020
        assert separator in (tmp_path / "items.jsonl").read_text(encoding="utf-8")


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(f"{json.dumps(ITEM)}\n\n  \r\n{json.dumps(ITEM)}\n{{", encoding="utf-8")
    found = list(scan_rows(path, ItemRow))
    assert [number for number, _ in found] == [1, 4, 5]
    assert isinstance(found[-1][1], BrokenRow)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"item_id": "a", "cat', "row 2: not JSON"),
        (b'{"item_id": "\xff", "category": "tops"}', "row 2: not JSON"),
        (b"[1, 2]", "row 2: not a JSON object"),
        (b'"text"', "row 2: not a JSON object"),
        (b"null", "row 2: not a JSON object"),
        (b'{"item_id": "a"}', "row 2: category: Field required"),
        (b'{"item_id": "", "category": "tops"}', "row 2: item_id: String should have at least 1 character (got '')"),
        (b'{"item_id": "a", "category": "capes"}', "row 2: category: Input should be 'tops', 'bottoms'"),
        (b'{"item_id": "a", "category": "tops", "colour": "red"}', "row 2: colour: Extra inputs are not permitted"),
        (
            b'{"item_id": "a", "category": "tops", "attributes": {"size": 3}}',
            "row 2: attributes.size: Input should be a",
        ),
    ],
)
def test_a_broken_row_is_named_by_file_number_and_field(line: bytes, problem: str, tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(json.dumps(ITEM).encode() + b"\n" + line)
    with pytest.raises(DataError) as caught:
        read_rows(path, ItemRow)
    assert str(path) in caught.value.message
    assert problem in caught.value.message
    assert "1 problem(s)" in caught.value.message
    assert "aura data prepare" in caught.value.hint


def test_a_file_in_another_encoding_is_named_as_such(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    text = json.dumps(ITEM | {"title": "Röcke"}, ensure_ascii=False)
    path.write_text(f"{json.dumps(ITEM)}\n{text}\n", encoding="latin-1")
    with pytest.raises(DataError, match=r"row 2: not JSON in UTF-8 \(byte 0xf6 at position \d+\); convert the file"):
        read_rows(path, ItemRow)
    path.write_text(text, encoding="utf-16")
    with pytest.raises(DataError, match=r"row 1: not JSON in UTF-8 \(byte 0xff at position 1\)"):
        read_rows(path, ItemRow)


def test_the_mark_of_a_text_from_windows_is_no_part_of_it(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(f"{json.dumps(ITEM)}\r\n{json.dumps(ITEM)}\r\n", encoding="utf-8-sig", newline="")
    assert [row.item_id for row in read_rows(path, ItemRow)] == ["a", "a"]


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").mkdir()
    with pytest.raises(DataError, match=r"cannot read .*items\.jsonl"):
        read_rows(tmp_path / "items.jsonl", ItemRow)


def test_no_reader_of_texts_cuts_them_at_what_unicode_calls_a_line_break() -> None:
    """What is drawn or printed may be cut anywhere; rows and pages may not."""
    cutting = {
        path.relative_to(repo_root()).as_posix()
        for folder in ("aura", "bentos", "dataprep", "inference/retrieval", "inference/chat", "training", "stores")
        for path in (repo_root() / folder).rglob("*.py")
        if re.search(r"(?<!__doc__ or \"\"\))\.splitlines\(", path.read_text(encoding="utf-8"))
    }
    assert cutting == {"training/chat/plots.py"}


def test_every_broken_row_and_field_is_named(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text("\n".join(["{}", json.dumps(ITEM), *["broken"] * 30]))
    with pytest.raises(DataError) as caught:
        read_rows(path, ItemRow)
    assert "31 problem(s)" in caught.value.message
    assert "row 1: item_id: Field required; category: Field required" in caught.value.message
    assert "row 21: not JSON" in caught.value.message
    assert "row 22" not in caught.value.message
    assert "... and 11 more" in caught.value.message


def test_a_long_value_is_cut(tmp_path: Path) -> None:
    (tmp_path / "items.jsonl").write_text(json.dumps(ITEM | {"category": "x" * 10_000}))
    with pytest.raises(DataError) as caught:
        read_rows(tmp_path / "items.jsonl", ItemRow)
    assert len(caught.value.message) < 600


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"items\.jsonl is missing(.|\n)*aura data prepare"):
        read_rows(tmp_path / "items.jsonl", ItemRow)
    with pytest.raises(DataError, match="import it"):
        read_rows(tmp_path / "items.jsonl", ItemRow, hint="import it")


def test_rows_are_read_and_written_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps(ITEM) + "\nbroken\n")
    assert next(iter_rows(path, ItemRow)).item_id == "a"
    endless = (ItemRow(item_id=f"{number}", category=Category.BAGS) for number in itertools.count())
    assert write_rows(path, itertools.islice(endless, 1000)) == 1000
    assert next(endless).item_id == "1000"


def test_a_write_that_fails_leaves_the_old_rows(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    old = ItemRow(item_id="old", category=Category.HATS)
    write_rows(path, [old])
    with pytest.raises(AttributeError):
        write_rows(path, [ItemRow(item_id="new", category=Category.HATS), None])  # type: ignore[list-item]
    assert read_rows(path, ItemRow) == [old]
    assert [entry.name for entry in tmp_path.iterdir()] == ["items.jsonl"]


def test_rows_are_frozen_and_refuse_unknown_keys() -> None:
    kinds: list[type[Row]] = [ItemRow, CatalogRow, DialogueRow, QueryRow, BoxRow]
    for kind in kinds:
        assert kind.model_config["frozen"]
        assert kind.model_config["extra"] == "forbid"


def test_values_that_were_read_already_are_checked_alike() -> None:
    box = {"id": 1, "image_id": 1, "category_id": 0, "bbox": [0, 0, 5, 5], "area": 25, "iscrowd": 0}
    good, bad = check_rows([box, box | {"bbox": [0, 0, 5]}], BoxRow)
    assert good == (1, BoxRow.model_validate(box))
    assert bad == (2, BrokenRow("bbox.3: Field required"))


def test_a_title_may_be_missing_and_null() -> None:
    for row in (ITEM, ITEM | {"title": None, "attributes": None, "image": None}):
        item = ItemRow.model_validate(row)
        assert (item.title, item.attributes, item.image) == ("", {}, None)


def test_the_text_of_a_catalog_row() -> None:
    row = CatalogRow(
        item_id="a", category=Category.TOPS, title="Red shirt", attributes={"colour": "red", "a": "b"},
        description="Of cotton.", image="images/a.png",
    )  # fmt: skip
    assert row.search_text == "Red shirt. tops. a b, colour red. Of cotton."


QUESTION = {
    "id": "q-1",
    "kind": "answerable",
    "documents": ["wool"],
    "messages": [{"role": "user", "content": "how hot may i wash wool"}],
    "must_hold": [["20 to 30 °C", "at most 30 °C"]],
    "must_not_say": ["60 °C"],
}
_FAR = {"kind": "out-of-scope", "documents": [], "must_hold": []}
_TALK = [
    {"role": "user", "content": "Can I wear black to a funeral?"},
    {"role": "assistant", "content": "Yes, plain and matt."},
    {"role": "user", "content": "and what about shoes?"},
]


@pytest.mark.parametrize("changes", [{}, {"kind": "no"}, _FAR, {"kind": "follow-up", "messages": _TALK}])
def test_a_question_of_each_kind_is_read(changes: dict[str, Any]) -> None:
    row = QuestionRow.model_validate(QUESTION | changes)
    assert row.questions[-1] in ("how hot may i wash wool", "and what about shoes")


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"messages": _TALK}, "messages: give the question alone, or call it a follow-up instead of answerable"),
        ({"messages": _TALK, "kind": "no"}, "call it a follow-up instead of no"),
        ({"kind": "follow-up"}, "messages: give the earlier question and its answer before a follow-up"),
        ({"kind": "follow-up", "messages": _TALK[:2]}, "messages: turns must alternate, user first and last"),
        ({"messages": _TALK[1:2]}, "messages: turns must alternate, user first and last"),
        ({"messages": [{"role": "user", "content": "?!"}]}, "messages: write a question that has words"),
        ({"documents": []}, "name in documents the pages that answer the question"),
        ({"must_hold": []}, "and in must_hold the facts of a right answer"),
        (_FAR | {"documents": ["wool"]}, "leave documents and must_hold empty"),
        (_FAR | {"must_hold": [["wool"]]}, "leave documents and must_hold empty"),
        ({"must_hold": [["30 °C"], []]}, "give each key fact a wording"),
        ({"must_hold": [["30 °C", "!"]]}, "each wording a word or a number"),
        ({"must_not_say": [" "]}, "each wording a word or a number"),
        ({"must_not_say": ["to 30"]}, "must_not_say: take out 'to 30', or the wording '20 to 30 °C' of a key fact"),
    ],
)
def test_a_question_that_breaks_a_rule_is_told_what_to_do(changes: dict[str, Any], advice: str) -> None:
    [(_, row)] = check_rows([QUESTION | changes], QuestionRow)
    assert isinstance(row, BrokenRow)
    assert advice in row.problem
    assert "Value error" not in row.problem


def test_all_broken_rules_of_a_question_are_told_at_once() -> None:
    [(_, row)] = check_rows([QUESTION | {"kind": "out-of-scope", "messages": _TALK, "must_not_say": [""]}], QuestionRow)
    assert isinstance(row, BrokenRow)
    assert row.problem.count("; ") == 2
