"""Labelled claims about the knowledge pages: written by hand, and pages' sentences made wrong by a rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from aura.paths import repo_root
from inference.chat.passages import ChatPassage, source_of
from inference.chat.sentences import split_sentences
from inference.chat.support import Verdict
from inference.retrieval.chunks import Chunk, cut_page, read_page

Half = Literal["train", "test"]
Kind = Literal["by hand", "number", "negation", "word"]
_PASSAGES = 3


@dataclass(frozen=True)
class Pair:
    """A claim, the passages that a search would find for it (the right one among them), and the truth."""

    claim: str
    passages: tuple[str, ...]
    truth: Verdict
    kind: Kind
    half: Half


def labelled_pairs() -> list[Pair]:
    """All pairs in the order of the pages; a page is in one half only."""
    sections = {
        path.stem: {chunk.heading: chunk for chunk in cut_page(read_page(path), max_words=200)}
        for path in sorted((repo_root() / "data" / "knowledge").glob("*.md"))
    }
    half: dict[str, Half] = {page: "test" if number % 2 else "train" for number, page in enumerate(sections)}
    pairs = []
    for row in yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")):
        page = row["page"]
        passages = _passages(sections[page], row["heading"])
        for truth in ("supported", "contradicted", "unsupported"):
            pairs += [Pair(claim, passages, truth, "by hand", half[page]) for claim in row[truth]]
    for page, chunks in sections.items():
        for heading, chunk in chunks.items():
            for sentence in split_sentences(chunk.text):
                for kind, wrong in _made_wrong(sentence, chunk.text):
                    pairs.append(Pair(wrong, _passages(chunks, heading), "contradicted", kind, half[page]))
    return pairs


def _passages(chunks: dict[str, Chunk], heading: str) -> tuple[str, ...]:
    found = sorted(chunks.values(), key=lambda chunk: chunk.heading != heading)[:_PASSAGES]
    return tuple(
        ChatPassage(source=source_of(chunk.page.title, chunk.heading), text=chunk.text).whole for chunk in found
    )


def _made_wrong(sentence: str, section: str) -> Iterator[tuple[Kind, str]]:
    """The sentence with one number, one negation or one word changed."""
    if number := re.search(r"(?<![\w.,-])\d+(?:\.\d+)?(?![\w.,-]*\d)", sentence):
        value = float(number[0])
        wrong = next(text for step in range(1, 99) if (text := f"{2 * value + step:g}") not in section)
        yield "number", sentence[: number.start()] + wrong + sentence[number.end() :]
    for pattern, replacement in _FLIPS:
        flipped = re.sub(pattern, replacement, sentence, count=1)
        if flipped != sentence:
            yield "negation", flipped[0].upper() + flipped[1:]
            break
    for word, other in _SWAPS:
        if re.search(rf"\b{word}\b", sentence) and other not in section:
            yield "word", re.sub(rf"\b{word}\b", other, sentence)
            break


_FLIPS = [
    (r"\b(?:do|does) not ", ""), (r"\bcannot\b", "can"), (r" (?:not|never) ", " "), (r"^Never ", ""), (r"\b[Aa]void\b", "choose"),
    (r"\bwithout\b", "with"), (r"^No ", ""), (r" no ", " a "),
    (r"^(Wear|Choose|Use|Take|Keep|Put|Wash|Brush|Iron|Clean|Hang|Dry|Fold|Spray|Check|Carry|Roll|Combine|Blot|Let|Leave|Mix)\b",
     lambda match: f"Do not {match[0].lower()}"),
    (r" (is|are|should|can|must|needs?) ", r" \1 not "),
]  # fmt: skip
_SWAPS = [
    ("black", "pink"), ("white", "green"), ("navy", "orange"), ("brown", "purple"), ("cotton", "acrylic"),
    ("wool", "nylon"),
    ("linen", "velvet"), ("leather", "plastic"), ("trousers", "skirts"), ("jacket", "hoodie"), ("shirt", "gown"),
    ("shoes", "hats"),
    ("evening", "morning"), ("winter", "summer"), ("dry", "wet"), ("warm", "cold"), ("loose", "tight"), ("wide", "narrow"),
    ("long", "short"), ("dark", "light"), ("formal", "casual"), ("soft", "hard"), ("more", "less"), ("before", "after"),
    ("above", "below"), ("first", "last"), ("thin", "thick"), ("small", "large"), ("same", "different"),
]  # fmt: skip
