"""Knowledge pages (Markdown with front matter) and the chunks they are cut into.

A chunk is one `##` section, or a piece of a section that is too long. Its `search_text` puts the page's title and the
section's heading before the text, because a section alone often does not say what it is about ("Avoid these below 40
degrees").
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from aura.errors import DataError
from aura.taxonomy import CATEGORIES

TOPICS = (
    "colour", "fabrics", "care", "dress-codes", "fit", "proportion", "seasons", "occasions", "shoes", "accessories",
    "travel", "sustainability",
)  # fmt: skip
ANY = "all"
FACETS: dict[str, tuple[str, ...]] = {
    "topic": TOPICS,
    "season": (ANY, "spring", "summer", "autumn", "winter"),
    "occasion": (ANY, "everyday", "work", "formal", "party", "sport", "travel"),
    "garment": (ANY, *(category.value for category in CATEGORIES)),
}
"""Front matter fields that a search can filter on, with their allowed values."""

_FRONT_MATTER = re.compile(r"\A---[ \t]*\r?\n(?P<yaml>.*?)^---[ \t]*\r?\n(?P<body>.*)\Z", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^(?P<marks>#{1,6})\s+(?P<text>.+?)\s*#*\s*$")
_LIST_ITEM = re.compile(r"\s*([-*+]|\d+[.)]|[|>])\s")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"'(])")


@dataclass(frozen=True, kw_only=True)
class Page:
    """One knowledge page; `slug` is the file name without `.md`."""

    slug: str
    title: str
    topic: str
    season: str
    occasion: str
    garment: str
    body: str


class Section(NamedTuple):
    """Where a chunk is from."""

    slug: str
    heading: str


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """A piece of a page that is embedded, and returned as a passage."""

    chunk_id: str
    page: Page
    heading: str
    text: str

    @property
    def search_text(self) -> str:
        """What the embedder and the full-text index read."""
        context = self.page.title if self.heading == self.page.title else f"{self.page.title}. {self.heading}"
        return f"{context}.\n{self.text}" if context else self.text


def read_pages(folder: Path) -> list[Page]:
    """All pages of a folder, ordered by slug.

    Raises:
        DataError: the folder is missing or holds no page, or pages are broken (all of them are listed).
    """
    if not folder.is_dir():
        raise DataError(f"no folder with knowledge pages: {folder}", hint="run the stage prepare first")
    paths = sorted(folder.glob("*.md"))
    if not paths:
        raise DataError(f"no knowledge page (*.md) in {folder}", hint="run the stage prepare first")
    pages, problems = [], []
    for path in paths:
        try:
            pages.append(read_page(path))
        except DataError as error:
            problems.append(f"  - {error.message}")
    if problems:
        raise DataError(
            f"{len(problems)} of {len(paths)} knowledge pages are broken:\n" + "\n".join(problems),
            hint="correct these pages; the served index stays as it is until then",
        )
    return pages


def read_page(path: Path) -> Page:
    """Read and check one page.

    Raises:
        DataError: not UTF-8, front matter missing or wrong (every wrong field is named), or no text under it.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path.name}: not UTF-8 ({error.reason} at byte {error.start})") from error
    match = _FRONT_MATTER.match(content)
    if match is None:
        raise DataError(f"{path.name}: does not begin with front matter between two lines of ---")
    try:
        fields = yaml.safe_load(match["yaml"])
    except yaml.YAMLError as error:
        raise DataError(f"{path.name}: front matter is not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(fields, dict):
        raise DataError(f"{path.name}: front matter must be a mapping, not {type(fields).__name__}")
    problems = _field_problems(fields)
    body = match["body"].strip()
    if not re.sub(r"^#.*$", "", body, flags=re.MULTILINE).strip():
        problems.append("no text under the front matter")
    if problems:
        raise DataError(f"{path.name}: {'; '.join(problems)}")
    return Page(slug=path.stem, title=fields["title"].strip(), body=body, **{name: fields[name] for name in FACETS})


def headings(page: Page) -> list[str]:
    """Headings of the sections that have text, in order; text before the first `##` belongs to the page's title."""
    return [heading for heading, _ in _sections(page)]


def cut_page(page: Page, max_words: int) -> list[Chunk]:
    """Cut a page at its headings; sections longer than `max_words` words are cut at paragraphs, then sentences.

    Chunk ids are `<slug>#<heading>-<n>` and stay the same when another section changes, so that a build embeds only
    what changed.
    """
    chunks: list[Chunk] = []
    seen: Counter[str] = Counter()
    for heading, text in _sections(page):
        for piece in _split_long(text, max_words):
            anchor = re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-") or "text"
            seen[anchor] += 1
            chunk_id = f"{page.slug}#{anchor}-{seen[anchor]}"
            chunks.append(Chunk(chunk_id=chunk_id, page=page, heading=heading, text=piece))
    return chunks


def _field_problems(fields: dict[str, Any]) -> list[str]:
    problems = []
    title = fields.get("title")
    if not isinstance(title, str) or not title.strip():
        problems.append(f"title must be a text, not {title!r}")
    for name, allowed in FACETS.items():
        if fields.get(name) not in allowed:
            problems.append(f"{name} must be one of {', '.join(allowed)}, not {fields.get(name)!r}")
    unknown = sorted(set(map(str, fields)) - {"title", *FACETS})
    if unknown:
        problems.append(f"unknown fields {', '.join(unknown)}; known: title, {', '.join(FACETS)}")
    return problems


def _sections(page: Page) -> list[tuple[str, str]]:
    """(heading, text) in order; text before the first `##` belongs to the page's title."""
    sections: list[tuple[str, list[str]]] = [(page.title, [])]
    in_code = False
    for line in page.body.split("\n"):  # not splitlines: a text may hold U+2028
        if line.lstrip().startswith("```"):
            in_code = not in_code
        match = None if in_code else _HEADING.match(line)
        if match is None:
            sections[-1][1].append(line)
        elif len(match["marks"]) == 1:
            sections.append((page.title, []))
        else:
            sections.append((match["text"], []))
    joined = [(heading, _unwrap(lines)) for heading, lines in sections]
    return [(heading, text) for heading, text in joined if text]


def _unwrap(lines: list[str]) -> str:
    """Undo the hard line breaks of a paragraph; blank lines and list items stay separate lines."""
    unwrapped: list[str] = []
    for line in (line.rstrip() for line in lines):
        continues = bool(line) and bool(unwrapped) and bool(unwrapped[-1]) and not _LIST_ITEM.match(line)
        if continues:
            unwrapped[-1] += " " + line.lstrip()
        else:
            unwrapped.append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(unwrapped)).strip()


def _split_long(text: str, max_words: int) -> list[str]:
    """Pieces of at most `max_words` words, as even as the paragraphs and sentences allow."""
    total = len(text.split())
    if total <= max_words:
        return [text]
    # An even target avoids a long chunk followed by a stub of one sentence.
    chunk_count = -(-total // max_words)
    target = -(-total // chunk_count)
    chunks: list[list[str]] = [[]]
    size = 0
    for piece in _pieces(text, max_words):
        count = len(piece.split())
        if chunks[-1] and (size + count > max_words or size >= target):
            chunks.append([])
            size = 0
        chunks[-1].append(piece)
        size += count
    return ["\n".join(chunk) if any("\n" in piece for piece in chunk) else " ".join(chunk) for chunk in chunks]


def _pieces(text: str, max_words: int) -> list[str]:
    """Sentences; a sentence that is too long is cut between words."""
    pieces = []
    for paragraph in re.split(r"\n\s*\n", text):
        for sentence in _SENTENCE_END.split(paragraph.strip()):
            words = sentence.split()
            if len(words) <= max_words:
                pieces.append(sentence)
            else:
                pieces.extend(" ".join(words[i : i + max_words]) for i in range(0, len(words), max_words))
    return pieces
