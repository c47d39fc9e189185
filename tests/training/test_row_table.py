"""Rows in a mapped file: the same rows back, nothing in the way of other processes, nothing left behind."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pytest
from datasets import Features, List, Value

from aura.paths import cache_dir, repo_root
from training.row_table import RowCodec, RowTable

Row = tuple[int, str, list[float]]


def _encode(row: Row) -> dict[str, object]:
    return {"number": row[0], "text": row[1], "values": row[2]}


def _decode(values: dict[str, object]) -> Row:
    return values["number"], values["text"], values["values"]  # type: ignore[return-value]


CODEC = RowCodec(
    Features({"number": Value("int64"), "text": Value("string"), "values": List(Value("float64"))}), _encode, _decode
)
ROWS: list[Row] = [(number, f"a\u2028b\x85\0{number}", [number / 3] * (number % 4)) for number in range(2500)]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def _files() -> list[Path]:
    return sorted((cache_dir() / "row-tables").iterdir())


def test_rows_come_back_as_they_were(home: Path) -> None:
    table = RowTable.write(iter(ROWS), CODEC)
    assert len(table) == len(ROWS)
    assert list(table) == ROWS
    assert [table[number] for number in (0, 7, -1)] == [ROWS[0], ROWS[7], ROWS[-1]]
    assert table[10:40:7] == ROWS[10:40:7]
    assert table[2490:9999] == ROWS[2490:]
    with pytest.raises(IndexError):
        table[len(ROWS)]
    (file,) = _files()
    assert file.is_relative_to(home)


def test_no_rows_are_a_table() -> None:
    table = RowTable.write([], CODEC)
    assert len(table) == 0
    assert not table
    assert list(table) == []


def test_the_file_goes_with_the_table() -> None:
    tables = [RowTable.write(ROWS[:3], CODEC) for _ in range(2)]
    assert len(_files()) == 2
    del tables[0]
    assert len(_files()) == 1
    assert list(tables[0]) == ROWS[:3]


def test_an_error_of_the_rows_passes_through_and_leaves_nothing() -> None:
    def rows() -> Iterator[Row]:
        yield ROWS[0]
        raise ValueError("row 2 is broken")

    with pytest.raises(ValueError, match="row 2 is broken"):
        RowTable.write(rows(), CODEC)
    assert _files() == []


def test_what_a_killed_process_left_is_removed_and_what_others_use_is_not() -> None:
    code = (
        "import os, sys; from tests.training.test_row_table import CODEC, ROWS; from training.row_table import RowTable\n"
        "table = RowTable.write(ROWS[:2], CODEC); print(table[1][0], flush=True); os._exit(1)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(repo_root()), *sys.path])}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "1", done.stderr
    (left,) = _files()
    table = RowTable.write(ROWS[:2], CODEC)
    assert left not in _files()
    other_table = RowTable.write(ROWS[:2], CODEC)
    assert len(_files()) == 2
    assert list(table) == list(other_table)


@pytest.mark.parametrize(("days", "kept"), [(1, True), (31, False)])
def test_a_table_of_another_machine_is_removed_when_it_is_old(days: int, kept: bool) -> None:
    folder = cache_dir() / "row-tables"
    folder.mkdir(parents=True)
    foreign = folder / "elsewhere~1~abc.arrow"
    foreign.touch()
    then = time.time() - days * 24 * 3600
    os.utime(foreign, (then, then))
    assert list(RowTable.write(ROWS[:2], CODEC)) == ROWS[:2]
    assert foreign.exists() is kept


def _read(table: RowTable[Row]) -> Row:
    return table[3]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_the_same_file_and_leave_it(method: str) -> None:
    table = RowTable.write(ROWS[:5], CODEC)
    with get_context(method).Pool(1) as pool:
        assert pool.apply(_read, (table,)) == ROWS[3]
    assert len(_files()) == 1
    assert table[3] == ROWS[3]
    assert len(pickle.dumps(table)) < 10_000


def test_nothing_is_asked_of_the_network_and_nothing_is_written_outside_the_home(tmp_path: Path) -> None:
    code = (
        "import socket\n"
        "def refuse(*args, **kwargs): raise AssertionError('a connection was opened')\n"
        "socket.socket.connect = refuse\n"
        "from tests.training.test_row_table import CODEC, ROWS; from training.row_table import RowTable\n"
        "print(len(list(RowTable.write(ROWS, CODEC))))"
    )
    user = tmp_path / "user"
    user.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))} | {
        "HOME": str(user), "TMPDIR": str(user), "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join([str(repo_root()), *sys.path]),
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == str(len(ROWS)), done.stderr
    assert [path.name for path in user.rglob("*") if path.is_file()] == []
