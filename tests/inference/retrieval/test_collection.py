"""Reading test collections in each format, their traps, and rows that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aura.errors import DataError
from inference.retrieval.collection import Collection, read_collection

BEIR = {
    "corpus": "\n".join(
        json.dumps(row)
        for row in (
            {"_id": "d1", "title": "Wings", "text": "Lift of a wing.", "metadata": {}},
            {"_id": "d2", "title": None, "text": "Heat transfer."},
            {"_id": 3, "title": "", "text": ""},
        )
    ),
    "queries": '{"_id": "q1", "text": "lift"}\n{"_id": "q2", "text": "heat"}\n{"_id": "q3", "text": "nothing"}\n',
    "qrels": "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t1\nq2\td2\t1\nq2\td1\t0\n",
}
SMART = {
    "corpus": ".I 1\n.T\nwings of\nthin plates\n.A\nbrown\n.B\njournal\n.W\nwings of\nthin plates lift in a\nslipstream .\n"
    ".I 2\n.T\n.W\nheat transfer .\n.I 3\n.T\n.A\n.W\n",
    "queries": ".I 001\n.W\nwhat lifts\na wing .\n.I 004\n.W\nheat .\n.I 008\n.W\nplates .\n",
    "qrels": "1 1 2\n1 2 -1\n2 2 4 \n3 1 1\n",
}
TREC = {
    "corpus": "<DOC>\n<DOCNO> FT-1 </DOCNO>\n<HEADLINE>Wings</HEADLINE>\n<TEXT>\nLift &amp; drag.\n</TEXT>\n</DOC>\n"
    "<doc><docno>2</docno><title>heat</title><author>a</author><bib>b</bib><text>heat transfer</text></doc>",
    "queries": "<top>\n<num> Number: 301\n<title> lift\n<desc> Description:\nWhat lifts?\n<narr> Narrative:\nNo.\n</top>\n"
    "<top><num>302</num><title>heat</title></top>",
    "qrels": "301 0 FT-1 1\n301 0 2 0\n302 0 2 3\n",
}


def read(folder: Path, files: dict[str, str]) -> Collection:
    for name, content in files.items():
        (folder / name).write_text(content, encoding="utf-8")
    return read_collection(folder / "corpus", folder / "queries", folder / "qrels")


def test_beir(tmp_path: Path) -> None:
    collection = read(tmp_path, BEIR)
    assert {name: (row.title, row.text) for name, row in collection.documents.items()} == {
        "d1": ("Wings", "Lift of a wing."),
        "d2": ("", "Heat transfer."),
    }
    assert collection.queries == {"q1": "lift", "q2": "heat"}
    assert collection.grades == {"q1": {"d1": 2.0, "d2": 1.0}, "q2": {"d2": 1.0}}
    assert collection.notes == ["1 empty documents are left out", "1 queries without a relevant document are left out"]


def test_cranfield_counts_queries_in_order_and_repeats_titles(tmp_path: Path) -> None:
    collection = read(tmp_path, SMART)
    assert {name: (row.title, row.text) for name, row in collection.documents.items()} == {
        "1": ("wings of thin plates", "lift in a slipstream ."),
        "2": ("", "heat transfer ."),
    }
    assert collection.queries == {"1": "what lifts a wing .", "4": "heat .", "8": "plates ."}
    assert collection.grades == {"1": {"1": 1.0}, "4": {"2": 1.0}, "8": {"1": 1.0}}  # the grades have no degree
    assert "judgements count queries in the order of the file, whose own numbers have gaps" in collection.notes


def test_judgements_by_number_stay_so(tmp_path: Path) -> None:
    by_number = read(tmp_path, SMART | {"qrels": "1 0 1 1\n8 0 2 1\n"})
    assert by_number.grades == {"1": {"1": 1.0}, "8": {"2": 1.0}}
    cisi = read(
        tmp_path, SMART | {"queries": ".I 1\n.W\nlift\n.I 2\n.W\nheat\n", "qrels": "01 1 0 0.0\n2 2\t0\t0.000000\n"}
    )
    assert cisi.grades == {"1": {"1": 1.0}, "2": {"2": 1.0}}


def test_trec(tmp_path: Path) -> None:
    collection = read(tmp_path, TREC)
    assert {name: (row.title, row.text) for name, row in collection.documents.items()} == {
        "FT-1": ("Wings", "Lift & drag."),
        "2": ("heat", "transfer"),
    }
    assert collection.queries == {"301": "lift", "302": "heat"}
    assert collection.grades == {"301": {"FT-1": 1.0}, "302": {"2": 3.0}}


def test_formats_may_be_mixed(tmp_path: Path) -> None:
    collection = read(tmp_path, BEIR | {"qrels": "q1 0 d1 1\nq2 0 d2 1\n"})
    assert collection.grades == {"q1": {"d1": 1.0}, "q2": {"d2": 1.0}}


def test_all_broken_rows_are_told_at_once(tmp_path: Path) -> None:
    broken = {
        "corpus": BEIR["corpus"] + '\n{"_id": "d1", "text": "again"}\n{"title": "no id"}\n{',
        "queries": BEIR["queries"] + '{"_id": "q4", "text": " "}\n',
        "qrels": BEIR["qrels"] + "q9\td1\t1\nq1\td9\t1\nq1\td1\nq1\td1\tgood\n",
    }
    with pytest.raises(DataError) as caught:
        read(tmp_path, broken)
    for problem in (
        "corpus, row 4: 'd1' appears twice",
        "corpus, row 5: _id: Field required",
        "corpus, row 6: not JSON",
        "query 'q4' is empty",
        "qrels, row 6: no query 'q9' in queries",
        "qrels, row 7: no document 'd9' in corpus",
        "qrels, row 8: 2 columns where query-id, corpus-id, score should be",
        "qrels, row 9: the grade must be a number, not 'good'",
    ):
        assert problem in caught.value.message


@pytest.mark.parametrize(
    ("files", "complaint"),
    [
        ({"corpus": "some text"}, "of no known format: it begins with 's'"),
        ({"queries": ""}, "of no known format: it begins with ''"),
        ({"qrels": ""}, "nothing to read in qrels"),
        ({"qrels": "query-id\tcorpus-id\tscore\nq1\td1\t0\n"}, "no query of queries has a relevant document in qrels"),
        ({"corpus": "<doc></doc>"}, "corpus, <doc> 1: has no <docno>"),
        ({"corpus": ".I one\n.W\ntext\n"}, "corpus, record 1: .I must be followed by a number"),
        ({"queries": "<top><num>1</num></top>"}, "queries, <top> 1: has no <title>"),
        ({"corpus": "<html>"}, "nothing to read in corpus"),
    ],
)
def test_a_file_that_is_something_else_is_told(tmp_path: Path, files: dict[str, str], complaint: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, BEIR | files)
    assert complaint in caught.value.message


def test_a_missing_file_and_another_encoding_are_told(tmp_path: Path) -> None:
    read(tmp_path, BEIR)
    (tmp_path / "queries").write_bytes('{"_id": "q1", "text": "déjà"}'.encode("latin-1"))
    with pytest.raises(DataError, match="is not UTF-8"):
        read_collection(tmp_path / "corpus", tmp_path / "queries", tmp_path / "qrels")
    with pytest.raises(DataError, match=r"cannot read .*: No such file"):
        read_collection(tmp_path / "nowhere", tmp_path / "queries", tmp_path / "qrels")
