"""A knowledge folder of three pages with queries and dialogues, for tests that break it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SLUGS = ("linen", "shoe-care", "wool")


def dialogue(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "id": f"talk-{number}",
        "documents": [SLUGS[number % len(SLUGS)]],
        "messages": [
            {"role": "user", "content": f"Question {number}?"},
            {"role": "assistant", "content": f"Answer {number}."},
        ],
    } | changes


def question(number: int, **changes: Any) -> dict[str, Any]:
    """A held-out question about the pages of `write_knowledge`."""
    slug = SLUGS[number % len(SLUGS)]
    return {
        "id": f"question-{number}",
        "kind": "answerable",
        "documents": [slug],
        "messages": [{"role": "user", "content": f"what about {slug} number {number}"}],
        "must_hold": [[f"wash {slug} cold", "cold"]],
        "must_not_say": ["hot"],
    } | changes


def write_questions(folder: Path, split: str, rows: Sequence[Any]) -> None:
    (folder / "questions").mkdir(exist_ok=True)
    write_lines(folder / "questions" / f"{split}.jsonl", rows)


def write_knowledge(folder: Path) -> Path:
    """Three pages, three queries, thirty dialogues."""
    (folder / "dialogues").mkdir(parents=True)
    (folder / "queries").mkdir()
    for slug in SLUGS:
        (folder / f"{slug}.md").write_text(
            f"---\ntitle: {slug}\ntopic: care\nseason: all\noccasion: all\ngarment: all\n---\n## Care\n\nWash {slug} cold.\n"
        )
    write_lines(
        folder / "queries" / "all.jsonl", [{"query": f"how to wash {slug}", "relevant": [slug]} for slug in SLUGS]
    )
    write_lines(folder / "dialogues" / "all.jsonl", [dialogue(number) for number in range(30)])
    return folder


def write_lines(path: Path, rows: Sequence[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_lines(path: Path) -> list[dict[str, Any]]:
    # A line feed alone ends a row: `str.splitlines` would cut a text at U+2028.
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line]
