"""A small corpus on disk: six pages, six labelled queries, eight items with pictures."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image, ImageDraw

_SPEC = importlib.util.spec_from_file_location("writer_process", Path(__file__).with_name("writer_process.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
_WRITER = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_WRITER)

PAGES = {
    "wool-care": (
        "care",
        "winter",
        "Washing wool",
        "Hand wash merino jumpers at 30 degrees with a mild soap.",
        "Dry knitwear flat on a towel, never on a hanger.",
    ),
    "linen-summer": (
        "fabrics",
        "summer",
        "Linen in heat",
        "Linen of 150 grams breathes above 28 degrees.",
        "Creases belong to linen, steam only the collar.",
    ),
    "black-tie": (
        "dress-codes",
        "all",
        "Black tie",
        "A dinner jacket has silk lapels and one button.",
        "A bow tie is tied by hand, in black silk.",
    ),
    "hiking-boots": (
        "shoes",
        "autumn",
        "Boots for trails",
        "Choose boots half a size up for thick socks.",
        "Wax leather uppers before rain and mud.",
    ),
    "carry-on": (
        "travel",
        "all",
        "Packing a cabin bag",
        "Roll shirts and fill shoes with socks.",
        "Five tops and two bottoms give ten outfits on a trip.",
    ),
    "navy-and-brown": (
        "colour",
        "all",
        "Navy with brown",
        "Navy wool beside tan suede looks warm.",
        "Avoid black shoes with a light navy suit.",
    ),
}
QUERIES = {
    "how do i wash a merino jumper": ["wool-care"],
    "what breathes when it is above 28 degrees": ["linen-summer"],
    "dinner jacket with silk lapels": ["black-tie"],
    "boots that leave room for thick socks": ["hiking-boots"],
    "how to roll shirts for a trip": ["carry-on"],
    "tan suede and navy wool": ["navy-and-brown"],
}
ITEMS = {
    "i01": ("tops", "Red cotton shirt", "red", "plain"),
    "i02": ("tops", "Blue striped shirt", "blue", "striped"),
    "i03": ("bottoms", "Blue denim jeans", "navy", "plain"),
    "i04": ("bottoms", "Red wool skirt", "darkred", "plain"),
    "i05": ("shoes", "Brown leather boots", "saddlebrown", "plain"),
    "i06": ("bags", "Green canvas tote", "green", "plain"),
    "i07": ("outerwear", "Yellow rain coat", "gold", "plain"),
    "i08": ("outerwear", "Grey striped blazer", "grey", "striped"),
}


def write_page(folder: Path, slug: str, topic: str, season: str, title: str, first: str, second: str) -> None:
    front = f"title: {title}\ntopic: {topic}\nseason: {season}\noccasion: all\ngarment: all"
    body = f"# {title}\n\nAbout this.\n\n## First\n{first}\n\n## Second\n{second}\n"
    (folder / f"{slug}.md").write_text(f"---\n{front}\n---\n{body}", encoding="utf-8")


def draw_item(colour: str, pattern: str, size: tuple[int, int] = (96, 96)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    brush = ImageDraw.Draw(image)
    width, height = size
    brush.rectangle((width // 4, height // 6, 3 * width // 4, 5 * height // 6), fill=colour)
    if pattern == "striped":
        for y in range(height // 6, 5 * height // 6, 8):
            brush.line((width // 4, y, 3 * width // 4, y), fill="white", width=3)
    return image


def write_corpus(folder: Path) -> Path:
    pages = folder / "pages"
    images = folder / "catalog" / "images"
    pages.mkdir(parents=True)
    images.mkdir(parents=True)
    for slug, values in PAGES.items():
        write_page(pages, slug, *values)
    queries = [json.dumps({"query": query, "relevant": relevant}) for query, relevant in QUERIES.items()]
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n", encoding="utf-8")
    lines = []
    for item_id, (category, title, colour, pattern) in ITEMS.items():
        draw_item(colour, pattern).save(images / f"{item_id}.png")
        lines.append(
            json.dumps(
                {
                    "item_id": item_id,
                    "category": category,
                    "title": title,
                    "description": f"A {title.lower()}.",
                    "attributes": {"pattern": pattern},
                    "image": f"images/{item_id}.png",
                }
            )
        )
    (folder / "catalog" / "catalog.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def writer() -> ModuleType:
    """The module `writer_process.py`: `WordEmbedder`, `build`, and a script to run in a process of its own."""
    return _WRITER


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Folder with `pages/`, `queries.jsonl` and `catalog/`, to be changed by the test."""
    return write_corpus(tmp_path / "corpus")


@pytest.fixture
def page_writer() -> Callable[..., None]:
    """`write_page(folder, slug, topic, season, title, first, second)`."""
    return write_page


@pytest.fixture
def item_picture() -> Callable[..., Image.Image]:
    """`draw_item(colour, pattern, size)`."""
    return draw_item
