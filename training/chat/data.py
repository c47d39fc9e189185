"""Conversations as examples: one per answer, with a prompt of the shape that serving builds at that point.

System text, history and question are put together by the same code; the notes have serving's number and order, but stand
in for what the index would find (see `training.chat.passages`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning
from torch.utils.data import BatchSampler, DataLoader, Sampler

from aura.errors import DataError, InvalidRequestError
from inference.chat.passages import search_query
from inference.chat.prompt import Example, PromptBuilder
from inference.chat.scoring import TokenBatch, collate, length_batches
from training.chat.passages import PassageFinder, with_support
from training.chat.settings import ChatSettings
from training.fit import EpochShuffle, resumed_epoch

_POOL_BATCHES = 8


@dataclass(frozen=True, kw_only=True)
class Case:
    """One answer of one conversation.

    Attributes:
        turn: 0 for the first answer.
        topic: topic of the first page that the conversation is grounded in.
        messages: the conversation up to and with the answer.
        retrieved: the notes that the question alone finds, best first.
        passages: the notes of the example: the retrieved ones, with the one that supports the answer among them.
        example: what the model reads and what it is to say.
    """

    conversation: str
    turn: int
    topic: str
    messages: list[dict[str, str]]
    retrieved: list[str]
    passages: list[str]
    example: Example


def read_cases(data_dir: Path, split: str, builder: PromptBuilder, settings: ChatSettings) -> list[Case]:
    """Every answer of a split, in the file's order.

    Raises:
        DataError: the file is missing, empty or broken, or names pages that are not there.
    """
    path = data_dir / "chat" / f"{split}.jsonl"
    finder = PassageFinder(data_dir / "knowledge" / "pages", settings.chunk_max_words)
    cases: list[Case] = []
    for number, row in enumerate(_rows(path), start=1):
        try:
            cases.extend(_cases(row, builder, finder, settings.passages))
        except (KeyError, TypeError, IndexError, AttributeError, InvalidRequestError) as error:
            raise DataError(
                f"{path.name}, row {number}: not a conversation ({type(error).__name__}: {error})",
                hint="run the stage prepare again",
            ) from error
    if not cases:
        raise DataError(f"no conversation in {path}", hint="write more dialogues, or raise this split's share")
    return cases


def _rows(path: Path) -> list[Any]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise DataError(f"no conversations at {path}", hint="run the stage prepare first: aura data prepare") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not JSON lines: {error}", hint="run the stage prepare again") from error


def _cases(row: Any, builder: PromptBuilder, finder: PassageFinder, count: int) -> Iterator[Case]:
    messages: list[dict[str, str]] = row["messages"]
    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    for turn, end in enumerate(answers):
        retrieved = finder.retrieve(search_query(messages[:end]), count)
        support = finder.support(row["documents"], messages[end - 1]["content"], messages[end]["content"])
        passages = with_support(retrieved, support)
        yield Case(
            conversation=row["id"],
            turn=turn,
            topic=finder.topics[row["documents"][0]],
            messages=messages[: end + 1],
            retrieved=retrieved,
            passages=passages,
            example=builder.example(messages[: end + 1], passages),
        )


class BucketBatches(BatchSampler):
    """Batches of similar length, so that little is padding: the sampler's order is cut into pools, each is sorted.

    Which examples meet depends on the sampler alone, hence on (seed, epoch) with `EpochShuffle`.
    """

    def __init__(self, sampler: Sampler[int], batch_size: int, drop_last: bool, lengths: Sequence[int]) -> None:
        super().__init__(sampler, batch_size, drop_last)
        self._lengths = lengths

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.sampler)
        size = self.batch_size * _POOL_BATCHES
        for start in range(0, len(order), size):
            pool = order[start : start + size]
            by_length = sorted(pool, key=lambda index: self._lengths[index])
            batches = [by_length[at : at + self.batch_size] for at in range(0, len(pool), self.batch_size)]
            if self.drop_last and len(batches[-1]) < self.batch_size:
                batches.pop()
            # Sorted batches would give every pool the same order, short to long.
            place = {index: position for position, index in enumerate(pool)}
            yield from sorted(batches, key=lambda batch: place[batch[0]])


class ChatDataModule(lightning.LightningDataModule):
    """Training and validation batches of the prepared conversations."""

    def __init__(self, data_dir: Path, builder: PromptBuilder, settings: ChatSettings, seed: int) -> None:
        super().__init__()
        self._data_dir, self._builder, self._settings, self._seed = data_dir, builder, settings, seed
        self.train_cases: list[Case] = []
        self.val_cases: list[Case] = []

    def setup(self, stage: str) -> None:
        """Read both splits; Lightning calls this on every process.

        Raises:
            DataError: as `read_cases`.
        """
        self.train_cases = read_cases(self._data_dir, "train", self._builder, self._settings)
        self.val_cases = read_cases(self._data_dir, "val", self._builder, self._settings)

    def train_dataloader(self) -> DataLoader[TokenBatch]:
        examples = [case.example for case in self.train_cases]
        lengths = [example.length for example in examples]
        sampler = EpochShuffle(len(examples), self._seed, resumed_epoch(self))
        return self._loader(examples, BucketBatches(sampler, self._settings.batch_size, False, lengths))

    def val_dataloader(self) -> DataLoader[TokenBatch]:
        examples = [case.example for case in self.val_cases]
        batches = length_batches([example.length for example in examples], self._settings.score_batch_tokens)
        return self._loader(examples, batches)

    def _loader(self, examples: list[Example], batches: Any) -> DataLoader[TokenBatch]:
        pad_id = int(self._builder.tokenizer.pad_token_id)
        return DataLoader(
            examples,
            batch_sampler=batches,
            collate_fn=partial(collate, pad_id=pad_id),
            num_workers=self._settings.num_workers,
        )
