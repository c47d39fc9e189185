"""Pages are checked field by field and cut at their headings."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura.errors import DataError
from inference.retrieval.chunks import Page, cut_page, read_page, read_pages

FRONT = "---\ntitle: Wool\ntopic: care\nseason: winter\noccasion: all\ngarment: tops\n---\n"


def page(body: str) -> Page:
    return Page(slug="wool", title="Wool", topic="care", season="winter", occasion="all", garment="tops", body=body)


def written(folder: Path, content: str | bytes, name: str = "wool.md") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_a_page_is_read_with_its_fields(tmp_path: Path) -> None:
    read = read_page(written(tmp_path, FRONT + "# Wool\n\nWash cold.\n"))
    assert (read.slug, read.title, read.topic, read.season, read.garment) == ("wool", "Wool", "care", "winter", "tops")
    assert read.body == "# Wool\n\nWash cold."


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("# Wool\ntext", "does not begin with front matter"),
        ("---\ntitle: Wool\n# never closed", "does not begin with front matter"),
        ("---\ntitle: [\n---\ntext", "front matter is not YAML"),
        ("---\n- a list\n---\ntext", "must be a mapping, not list"),
        (FRONT.replace("care", "cars") + "text", "topic must be one of colour, fabrics"),
        (FRONT.replace("winter", "monsoon") + "text", "not 'monsoon'"),
        (FRONT.replace("title: Wool", "title: ''") + "text", "title must be a text"),
        (FRONT.replace("topic", "subject") + "text", "unknown fields subject"),
        (FRONT + "# Only\n## headings\n", "no text under the front matter"),
        (FRONT.encode() + b"caf\xe9", "not UTF-8"),
    ],
)
def test_a_broken_page_is_named_with_its_problem(tmp_path: Path, content: str | bytes, complaint: str) -> None:
    with pytest.raises(DataError, match=r"^wool\.md") as caught:
        read_page(written(tmp_path, content))
    assert complaint in str(caught.value)


def test_every_problem_of_every_page_is_reported_at_once(tmp_path: Path) -> None:
    written(tmp_path, FRONT + "fine", "a.md")
    written(tmp_path, "no front matter", "b.md")
    written(tmp_path, FRONT.replace("winter", "x").replace("care", "y") + "text", "c.md")
    with pytest.raises(DataError) as caught:
        read_pages(tmp_path)
    message = str(caught.value)
    assert message.startswith("2 of 3 knowledge pages are broken")
    for part in ("b.md", "c.md", "season must", "topic must", "the served index stays"):
        assert part in message


def test_a_folder_without_pages_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no knowledge page"):
        read_pages(tmp_path)
    with pytest.raises(DataError, match="no folder"):
        read_pages(tmp_path / "nowhere")


def test_chunks_follow_the_headings_and_carry_the_title() -> None:
    chunks = cut_page(page("# Wool\n\nIntro line one\nline two.\n\n## Washing it\nCold.\n\n### Soap\nMild.\n"), 100)
    assert [(chunk.heading, chunk.text) for chunk in chunks] == [
        ("Wool", "Intro line one line two."),
        ("Washing it", "Cold."),
        ("Soap", "Mild."),
    ]
    assert chunks[0].search_text == "Wool.\nIntro line one line two."
    assert chunks[1].search_text == "Wool. Washing it.\nCold."


def test_list_items_and_code_stay_apart() -> None:
    body = "## Steps\nFirst of all\ndo this:\n- soak in water\n  for an hour\n- rinse\n\n```\n# not a heading\n```\n"
    (chunk,) = cut_page(page(body), 100)
    assert chunk.text.splitlines()[:3] == ["First of all do this:", "- soak in water for an hour", "- rinse"]
    assert "# not a heading" in chunk.text


@pytest.mark.parametrize("max_words", [20, 33, 60])
def test_a_long_section_is_cut_evenly_and_no_word_is_lost(max_words: int) -> None:
    sentences = [f"Sentence {i} says {' '.join(f'w{i}x{j}' for j in range(i % 9))} end." for i in range(40)]
    text = " ".join(sentences[:20]) + "\n\n" + " ".join(sentences[20:])
    chunks = [chunk.text for chunk in cut_page(page(f"## Long\n{text}\n"), max_words)]
    sizes = [len(chunk.split()) for chunk in chunks]
    assert max(sizes) <= max_words
    assert min(sizes) > max_words // 4
    assert " ".join(chunks).split() == text.split()


def test_one_endless_sentence_is_cut_between_words() -> None:
    chunks = [chunk.text for chunk in cut_page(page("## Long\n" + "word " * 95), 20)]
    assert [len(chunk.split()) for chunk in chunks] == [20, 20, 20, 20, 15]


def test_ids_are_unique_and_do_not_depend_on_other_sections() -> None:
    before = cut_page(page("## Care\nOne.\n## Care\nTwo.\n## Über Größe?\nThree.\n"), 100)
    assert [chunk.chunk_id for chunk in before] == ["wool#care-1", "wool#care-2", "wool#ber-gr-e-1"]
    after = cut_page(page("## New\nZero.\n## Care\nOne.\n## Care\nTwo, changed.\n## Über Größe?\nThree.\n"), 100)
    assert [chunk.chunk_id for chunk in after][1:] == [chunk.chunk_id for chunk in before]
