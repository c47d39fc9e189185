"""Prepared conversations in the small, and settings that train a tiny base on them in a second."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aura.tracking import LocalTracker
from inference.chat.settings import GenerationSettings, PromptSettings
from tests.inference.chat.tiny_base import LORA, save_tiny_base
from training.chat.settings import ChatSettings
from training.context import TrainContext

PAGE = """---
title: {title}
topic: {topic}
season: all
occasion: all
garment: all
---
# {title}

## Washing
Wash {thing} at {degrees} degrees and dry it flat on a towel.

## Storing
Fold {thing} with cedar between the layers and keep it away from light.

## Mending
Darn {thing} by hand before the hole grows.
"""
THINGS = (("wool", "care", 30), ("linen", "fabrics", 40), ("silk", "seasons", 20))


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`chat/` and `knowledge/` as the stage prepare writes them: 24, 6 and 6 conversations, one in three of two turns.

    What a second answer says stands in a section that no word of the questions leads to.
    """
    data = tmp_path_factory.mktemp("data")
    (data / "knowledge" / "pages").mkdir(parents=True)
    (data / "chat").mkdir()
    for thing, topic, degrees in THINGS:
        page = PAGE.format(title=f"All about {thing}", topic=topic, thing=thing, degrees=degrees)
        (data / "knowledge" / "pages" / f"about-{thing}.md").write_text(page, encoding="utf-8")
    for split, count in (("train", 24), ("val", 6), ("test", 6)):
        rows = [json.dumps(conversation(split, number)) for number in range(count)]
        (data / "chat" / f"{split}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return data


def conversation(split: str, number: int) -> dict[str, object]:
    thing, topic, degrees = THINGS[number % 3]
    messages = [
        {"role": "user", "content": f"How hot may I wash {thing}? Case {number}."},
        {"role": "assistant", "content": f"Wash {thing} at {degrees} degrees. Tip: dry it flat on a towel."},
    ]
    if number % 3 == 2:
        messages += [
            {"role": "user", "content": "What if moths come?"},
            {"role": "assistant", "content": f"Darn {thing} by hand. Tip: mend before the hole grows."},
        ]
    name = f"{topic}-{split}-{number}"
    return {"id": name, "group": name, "documents": [f"about-{thing}"], "messages": messages}


@pytest.fixture
def settings(tiny_base: Path) -> ChatSettings:
    return ChatSettings(
        base=str(tiny_base),
        lora=LORA,
        prompt=PromptSettings(system="Be brief.", passage_tokens=160, answer_tokens=80),
        generation=GenerationSettings(max_new_tokens=40),
        max_epochs=2,
        learning_rate=1e-2,
        accelerator="cpu",
        shown_answers=2,
    )


@pytest.fixture
def context(prepared: Path, tmp_path: Path) -> TrainContext:
    return new_context(prepared, tmp_path / "run")


def new_context(prepared: Path, folder: Path, base_dir: Path | None = None) -> TrainContext:
    for name in ("out", "checkpoints", "plots"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return TrainContext(
        data_dir=prepared,
        out_dir=folder / "out",
        checkpoint_dir=folder / "checkpoints",
        plots_dir=folder / "plots",
        base_dir=base_dir,
        tracker=LocalTracker(folder / "checkpoints"),
        seed=7,
    )
