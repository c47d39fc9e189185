"""Smoke test of the chat model: how likely it finds fixed texts, and how its answers from fixed passages begin.

Likelihoods hold on any hardware. The words of an answer may change where two words, or two sentences, are nearly as likely, so
that of them only a part must be the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aura.artifact import read_json, write_json
from aura.heavy_imports import heavy_imports
from inference.chat.answer import AnswerSentence
from inference.chat.passages import ChatPassage
from inference.smoke_test import FOLDER

if TYPE_CHECKING:  # the service's API part reads the inputs and never needs torch
    from inference.chat.model import ChatModel

NEW_TOKENS = 16
"""Most tokens of an answer in the model's own words."""
_NATS_TOLERANCE = 0.05
"""Of the mean over an answer's tokens; an adapter that was trained moves it by several tenths."""
_LEAST_COMMON_BEGINNING = 0.5
"""Share of the words of all answers that must follow each other as they did."""
_ASKED_WHEN_LOADED = 1
"""Of the conversations, and of the passages: another adapter moves the likelihood of each sentence, and a service asks beside its
own work, where a second counts."""
_CONVERSATIONS = (
    ("How do I wash wool?", "Wash it by hand in cool water with a mild detergent, and dry it flat."),
    ("Which shoes suit navy?", "Dark brown Oxfords go with a navy suit; black ones are more formal."),
    ("What suits a garden wedding?", "A light linen suit or a floral midi dress, with block heels."),
)
"""Short questions, which fit into the smallest prompt that the settings allow."""
_PASSAGES = (
    ("Wool care. Washing", "Wash wool by hand in cool water with a mild detergent. Dry it flat. Never wring it."),
    ("Suits. Shoes", "Dark brown Oxfords go with a navy suit. Black ones are more formal."),
    (
        "Weddings. Guests",
        "A light linen suit or a floral midi dress suits a garden wedding. Choose block heels on grass.",
    ),
)


class ChatSmokeTest:
    """See `inference.smoke_test.SmokeTest`."""

    def write_inputs(self, folder: Path) -> None:
        write_json(
            folder / "inputs.json",
            {
                "conversations": [{"question": question, "answer": answer} for question, answer in _CONVERSATIONS],
                "passages": [{"source": source, "text": text} for source, text in _PASSAGES],
            },
        )

    def answers(self, artifact: Path, device: str) -> dict[str, list[Any]]:
        with heavy_imports():
            from inference.chat.model import ChatModel

        return self._answers(ChatModel.load(artifact, device), artifact)

    def answers_of(self, model: ChatModel, artifact: Path) -> dict[str, list[Any]]:
        """About the first question and the first passage."""
        return self._answers(model, artifact, _ASKED_WHEN_LOADED)

    def _answers(self, model: ChatModel, artifact: Path, most: int | None = None) -> dict[str, list[Any]]:
        inputs = read_inputs(artifact)
        passages = [
            ChatPassage(source=passage["source"], text=passage["text"]) for passage in inputs["passages"][:most]
        ]
        examples, replies = [], []
        quoted = model.answers.way == "quoted"
        for conversation in inputs["conversations"][:most]:
            question = [{"role": "user", "content": conversation["question"]}]
            answer = {"role": "assistant", "content": conversation["answer"]}
            if quoted:
                examples += model.prompts.choice_prompt(question, passages).examples
            else:
                examples.append(model.prompts.example([*question, answer]))
            replies.append(said(model.answer(question, passages, NEW_TOKENS)))
        # Where it quotes, its answer has just met the sentences.
        nats = model.question_nats(examples) if quoted else model.answer_nats(examples)
        return {
            "nats_per_token": [value / len(example.answer_ids) for value, example in zip(nats, examples, strict=True)],
            "replies": replies,
        }

    def differences(self, recorded: Mapping[str, list[Any]], found: Mapping[str, list[Any]]) -> list[str]:
        sentences = []
        nats = zip(
            recorded["nats_per_token"], found["nats_per_token"], strict=False
        )  # of the first question there are fewer
        for place, (before, now) in enumerate(nats):
            if not abs(before - now) <= _NATS_TOLERANCE:
                sentences.append(f"text {place} has {now:.3f} nats per token instead of {before:.3f}")
        if not any(reply.strip() for reply in found["replies"]):
            sentences.append("it answers no words")
        if len(found["replies"]) < len(recorded["replies"]):
            return sentences  # the words of one answer alone may change: two sentences are as likely now and then
        return sentences + reply_differences(recorded["replies"], found["replies"])


def reply_differences(expected: Sequence[str], found: Sequence[str]) -> list[str]:
    """Sentences that say how replies differ from those expected; empty where enough words are the same."""
    share = _common_beginning(expected, found)
    if share >= _LEAST_COMMON_BEGINNING:
        return []
    return [f"{share:.0%} of the words are the same, for example {found[0]!r} instead of {expected[0]!r}"]


def said(answer: Iterable[AnswerSentence]) -> str:
    """The words of an answer."""
    return " ".join(sentence.text for sentence in answer)


def read_inputs(artifact: Path) -> dict[str, list[dict[str, str]]]:
    """`conversations` of one `question` and one `answer` each, and the `passages` that may be used."""
    inputs: dict[str, list[dict[str, str]]] = read_json(
        artifact / FOLDER / "inputs.json", "the inputs of the smoke test"
    )
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
