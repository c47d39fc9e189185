"""Prepared conversations in the small, and settings that train a tiny base on them in a second."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from aura.prepared_rows import QuestionRow
from aura.tracking import LocalTracker
from inference.chat.settings import AnswerSettings, GenerationSettings, PromptSettings
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
    """`chat/` and `knowledge/` as the stage prepare writes them: 24, 6 and 6 conversations, one in three of two turns, and
    twelve questions in each of two held-out splits.

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
    (data / "knowledge" / "questions").mkdir()
    for split in ("validation", "test"):
        rows = [row.model_dump_json() for row in questions(split)]
        (data / "knowledge" / "questions" / f"{split}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return data


def questions(split: str) -> list[QuestionRow]:
    """Two that can be answered, a follow-up and one out of scope for each of three pages."""
    rows = []
    for (thing, _, degrees), foreign in zip(THINGS, ("bake bread", "tune a guitar", "file a tax return"), strict=True):
        page = f"about-{thing}"
        washing = {"role": "user", "content": f"May {thing} be washed hot?"}
        told = {"role": "assistant", "content": f"Wash {thing} at {degrees} degrees."}
        rows += [
            question(f"{split}-wash-{thing}", [washing], [page], [[f"at {degrees} °C"], ["dry it flat"]], ["boil"]),
            question(f"{split}-store-{thing}", [{"role": "user", "content": f"Where do I keep {thing} in summer?"}],
                     [page], [["with cedar", "away from light"]]),
            question(f"{split}-mend-{thing}", [washing, told, {"role": "user", "content": "And if it has a hole?"}],
                     [page], [["by hand"]]),
            question(f"{split}-foreign-{thing}", [{"role": "user", "content": f"Which way do I {foreign} at home?"}]),
        ]  # fmt: skip
    return rows


def question(
    name: str,
    messages: list[dict[str, str]],
    documents: Sequence[str] = (),
    must_hold: Sequence[Sequence[str]] = (),
    must_not_say: Sequence[str] = (),
) -> QuestionRow:
    kind = "follow-up" if len(messages) > 1 else "answerable" if documents else "out-of-scope"
    return QuestionRow.model_validate(
        {"id": name, "kind": kind, "documents": documents, "messages": messages, "must_hold": must_hold,
         "must_not_say": must_not_say}
    )  # fmt: skip


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
    """Quoted answers; `free_settings` are the same for answers in the model's own words."""
    return new_settings(tiny_base)


@pytest.fixture
def free_settings(settings: ChatSettings) -> ChatSettings:
    return in_own_words(settings)


def in_own_words(settings: ChatSettings) -> ChatSettings:
    return settings.model_copy(update={"answers": AnswerSettings(way="free")})


def new_settings(tiny_base: Path) -> ChatSettings:
    return ChatSettings(
        base=str(tiny_base),
        lora=LORA,
        prompt=PromptSettings(system="Be brief.", passage_tokens=240, answer_tokens=80),
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
