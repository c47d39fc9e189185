"""Atomic files and folders, and what remains after a crash."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura.artifact import content_hash, read_json, recover_dir, replace_dir, write_json
from aura.errors import ArtifactError


def folder(path: Path, content: str) -> Path:
    path.mkdir(parents=True)
    (path / "file").write_text(content, encoding="utf-8")
    return path


def test_json_survives_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "a.json", {"b": 1, "a": [1, 2]})
    assert read_json(tmp_path / "deep" / "a.json", "the file") == {"a": [1, 2], "b": 1}
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.json"]


def test_a_failed_write_keeps_the_old_content(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": True})
    with pytest.raises(TypeError):
        write_json(tmp_path / "a.json", {"new": object()})
    assert read_json(tmp_path / "a.json", "the file") == {"old": True}


def test_missing_and_broken_json_are_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="the labels is missing"):
        read_json(tmp_path / "none.json", "the labels")
    (tmp_path / "half.json").write_text('{"a": ', encoding="utf-8")
    with pytest.raises(ArtifactError, match="not valid JSON"):
        read_json(tmp_path / "half.json", "the labels")


def test_replace_dir_swaps_and_recovers_from_a_crash_between_its_renames(tmp_path: Path) -> None:
    target = folder(tmp_path / "model", "old")
    replace_dir(folder(tmp_path / "new", "new"), target)
    assert (target / "file").read_text(encoding="utf-8") == "new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    target.rename(tmp_path / ".model.old")  # the state after the first of the two renames
    recover_dir(target)
    assert (target / "file").read_text(encoding="utf-8") == "new"


def test_content_hash_sees_names_and_contents_but_not_times(tmp_path: Path) -> None:
    first, second = folder(tmp_path / "first", "same"), folder(tmp_path / "second", "same")
    assert content_hash(first) == content_hash(second)
    (second / "file").rename(second / "other")
    assert content_hash(first) != content_hash(second)
    with pytest.raises(ArtifactError, match="does not exist"):
        content_hash(tmp_path / "none")
