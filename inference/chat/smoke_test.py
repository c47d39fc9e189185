"""Smoke test of the chat model: how likely it finds fixed answers, and how its own answers begin.

Likelihoods hold on any hardware. The words of an answer may change where two words are nearly as likely, so that of
them only a part must be the same: they are what a service can be asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aura.artifact import read_json, write_json
from aura.heavy_imports import heavy_imports
from inference.smoke_test import FOLDER

NEW_TOKENS = 16
_NATS_TOLERANCE = 0.05
"""Of the mean over an answer's tokens; an adapter that was trained moves it by several tenths."""
_LEAST_COMMON_BEGINNING = 0.5
"""Share of the words of all answers that must follow each other as they did."""
_CONVERSATIONS = (
    ("How do I wash wool?", "Wash it by hand in cool water with a mild detergent, and dry it flat."),
    ("Which shoes suit navy?", "Dark brown Oxfords go with a navy suit; black ones are more formal."),
    ("What suits a garden wedding?", "A light linen suit or a floral midi dress, with block heels."),
)
"""Short questions, which fit into the smallest prompt that the settings allow."""


class ChatSmokeTest:
    """See `inference.smoke_test.SmokeTest`."""

    def write_inputs(self, folder: Path) -> None:
        write_json(
            folder / "inputs.json", [{"question": question, "answer": answer} for question, answer in _CONVERSATIONS]
        )

    def answers(self, artifact: Path, device: str) -> dict[str, list[Any]]:
        with heavy_imports():
            from inference.chat.model import ChatModel

        model = ChatModel.load(artifact, device)
        inputs = read_inputs(artifact)
        questions = [[{"role": "user", "content": conversation["question"]}] for conversation in inputs]
        answers = [{"role": "assistant", "content": conversation["answer"]} for conversation in inputs]
        examples = [
            model.prompts.example([*question, answer]) for question, answer in zip(questions, answers, strict=True)
        ]
        nats = model.answer_nats(examples)
        return {
            "nats_per_token": [value / len(example.answer_ids) for value, example in zip(nats, examples, strict=True)],
            "replies": [model.reply(question, max_new_tokens=NEW_TOKENS).text for question in questions],
        }

    def differences(self, recorded: Mapping[str, list[Any]], found: Mapping[str, list[Any]]) -> list[str]:
        sentences = []
        # A service answers words alone.
        for place, (before, now) in enumerate(
            zip(recorded["nats_per_token"], found.get("nats_per_token", recorded["nats_per_token"]), strict=True)
        ):
            if not abs(before - now) <= _NATS_TOLERANCE:
                sentences.append(f"answer {place} has {now:.3f} nats per token instead of {before:.3f}")
        if not any(reply.strip() for reply in found["replies"]):
            sentences.append("it answers no words")
        share = _common_beginning(recorded["replies"], found["replies"])
        if share < _LEAST_COMMON_BEGINNING:
            sentences.append(
                f"{share:.0%} of the words are the same, for example {found['replies'][0]!r} "
                f"instead of {recorded['replies'][0]!r}"
            )
        return sentences


def read_inputs(artifact: Path) -> list[dict[str, str]]:
    """Conversations of one `question` and one `answer` each."""
    inputs: list[dict[str, str]] = read_json(artifact / FOLDER / "inputs.json", "the inputs of the smoke test")
    return inputs


def _common_beginning(recorded: Sequence[str], found: Sequence[str]) -> float:
    """Share of the recorded words that stand in the same order at the beginning of the answers found."""
    total = same = 0
    for before, now in zip(recorded, found, strict=True):
        expected = before.split()
        total += len(expected)
        for a, b in zip(expected, now.split(), strict=False):
            if a != b:
                break
            same += 1
    return same / total if total else 1.0


SMOKE_TEST = ChatSmokeTest()
