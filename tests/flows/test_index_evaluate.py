"""`aura index evaluate` over the real command line, with the real embedder, on a collection that the test makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aura.paths import repo_root

DOCUMENTS = {
    "1": ("Washing wool", "Wash merino jumpers at thirty degrees with a mild soap and dry them flat."),
    "2": ("Black tie", "A dinner jacket has silk lapels; the bow is tied by hand."),
    "3": ("Order form", "Replacement buckle, part zq83415, for the brown leather belt."),
    "4": ("Boots", "Choose hiking boots half a size up, so that thick socks fit."),
    "5": ("Packing", "Roll shirts and fill shoes with socks; a cabin bag holds five tops."),
}
QUERIES = {
    "1": ("how do I clean a woollen sweater", "1"),
    "2": ("zq83415", "3"),
    "4": ("footwear for a walk in the mountains", "4"),
}


def write(folder: Path, form: str) -> list[str]:
    """The options with which the command reads the collection."""
    if form == "beir":
        corpus = "".join(json.dumps({"_id": n, "title": t, "text": x}) + "\n" for n, (t, x) in DOCUMENTS.items())
        queries = "".join(json.dumps({"_id": n, "text": text}) + "\n" for n, (text, _) in QUERIES.items())
        qrels = "query-id\tcorpus-id\tscore\n" + "".join(f"{n}\t{doc}\t1\n" for n, (_, doc) in QUERIES.items())
    elif form == "smart":
        corpus = "".join(f".I {n}\n.T\n{t}\n.A\nnobody\n.W\n{t}\n{x}\n" for n, (t, x) in DOCUMENTS.items())
        queries = "".join(f".I {int(n):03}\n.W\n{text}\n" for n, (text, _) in QUERIES.items())
        qrels = "".join(f"{place} {doc} 2\n" for place, (_, doc) in enumerate(QUERIES.values(), start=1))
    else:
        corpus = "".join(
            f"<DOC>\n<DOCNO>{n}</DOCNO>\n<TITLE>{t}</TITLE>\n<TEXT>{x}</TEXT>\n</DOC>\n"
            for n, (t, x) in DOCUMENTS.items()
        )
        queries = "".join(f"<top>\n<num> Number: {n}\n<title> {text}\n</top>\n" for n, (text, _) in QUERIES.items())
        qrels = "".join(f"{n} 0 {doc} 1\n" for n, (_, doc) in QUERIES.items())
    for name, content in (("corpus", corpus), ("queries", queries), ("qrels", qrels)):
        (folder / name).write_text(content, encoding="utf-8")
    return [part for name in ("corpus", "queries", "qrels") for part in (f"--{name}", str(folder / name))]


def evaluate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "flows.cli.app", "index", "evaluate", *arguments],
        env=os.environ | {"PYTHONPATH": str(repo_root()), "COLUMNS": "80"},
        cwd=repo_root(), capture_output=True, text=True, timeout=250,
    )  # fmt: skip


@pytest.mark.parametrize("form", ["beir", "smart", "trec"])
def test_a_collection_of_each_format(form: str, tmp_path: Path) -> None:
    done = evaluate(*write(tmp_path, form), "--out", str(tmp_path / "out" / "metrics.json"))
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "3 queries, 5 documents in 5 chunks" in " ".join(done.stdout.split())
    assert ("judgements count queries in the order" in done.stdout) is (form == "smart")
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["metrics"]["hybrid"]["mrr_at_10"]["mean"] == 1.0
    # Full text finds the part's number only: the other two questions share no word with their document.
    assert written["metrics"]["full text"]["mrr_at_10"]["mean"] == pytest.approx(1 / 3)
    assert written["gains"]["full text"]["ndcg_at_10"]["mean"] == pytest.approx(2 / 3)
    assert written["settings"]["search"]["fusion"] == "scores"


def test_a_wrong_file_is_told_before_anything_is_embedded(tmp_path: Path) -> None:
    options = write(tmp_path, "beir")
    with (tmp_path / "qrels").open("a") as stream:
        stream.write("7\t1\t1\n1\t99\t1\n")
    done = evaluate(*options)
    assert done.returncode == 2
    assert "qrels, row 5: no query '7' in queries" in done.stderr
    assert "qrels, row 6: no document '99' in corpus" in done.stderr
