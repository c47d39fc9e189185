"""Conversations as examples: one per answer, with a prompt of the shape that serving builds at that point.

System text, history and question are put together by the same code. The passages have serving's number and order, but
stand in for what the index would find (see `training.chat.passages`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning
from datasets import Features, List, Value
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from aura.errors import DataError, InvalidRequestError
from aura.prepared_rows import PREPARE_AGAIN, DialogueRow, iter_rows
from inference.chat.passages import search_query
from inference.chat.prompt import Example, PromptBuilder
from inference.chat.scoring import TokenBatch, collate, length_batches
from training.chat.passages import PassageFinder, with_support
from training.chat.settings import ChatSettings
from training.row_table import RowCodec, RowTable
from training.trainer import EpochShuffle, resumed_epoch

_POOL_BATCHES = 8


@dataclass(frozen=True, kw_only=True)
class Case:
    """One answer of one conversation.

    Attributes:
        turn: 0 for the first answer.
        topic: topic of the first page that the conversation is grounded in.
        messages: the conversation up to and with the answer.
        retrieved: the passages that the question alone finds, best first.
        passages: those of the example: the retrieved ones, with the one that supports the answer among them.
        example: what the model reads and what it is to say.
    """

    conversation: str
    turn: int
    topic: str
    messages: list[dict[str, str]]
    retrieved: list[str]
    passages: list[str]
    example: Example


def read_cases(data_dir: Path, split: str, builder: PromptBuilder, settings: ChatSettings) -> RowTable[Case]:
    """Every answer of a split, in the file's order, in a mapped table.

    Raises:
        DataError: the file is missing, empty or broken, or names pages that are not there.
    """
    path = data_dir / "chat" / f"{split}.jsonl"
    finder = PassageFinder(data_dir / "knowledge" / "pages", settings.chunk_max_words)
    cases = RowTable.write(_all_cases(path, builder, finder, settings.passages), _CODEC)
    if not cases:
        raise DataError(f"no conversation in {path}", hint="write more dialogues, or raise this split's share")
    return cases


def _all_cases(path: Path, builder: PromptBuilder, finder: PassageFinder, count: int) -> Iterator[Case]:
    for row in iter_rows(path, DialogueRow):
        try:
            yield from _cases(row, builder, finder, count)
        except InvalidRequestError as error:
            raise DataError(
                f"{path.name}, conversation {row.id!r} cannot be put to the model: {error.message}", hint=PREPARE_AGAIN
            ) from error


def _cases(row: DialogueRow, builder: PromptBuilder, finder: PassageFinder, count: int) -> Iterator[Case]:
    messages = [message.model_dump() for message in row.messages]
    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    for turn, end in enumerate(answers):
        retrieved = finder.retrieve(search_query(messages[:end]), count)
        support = finder.support(row.documents, messages[end - 1]["content"], messages[end]["content"])
        passages = with_support(retrieved, support)
        yield Case(
            conversation=row.id,
            turn=turn,
            topic=finder.topics[row.documents[0]],
            messages=messages[: end + 1],
            retrieved=retrieved,
            passages=passages,
            example=builder.example(messages[: end + 1], passages),
        )


def _encode(case: Case) -> dict[str, Any]:
    values = {name: getattr(case, name) for name in _CODEC.features if name not in _EXAMPLE_COLUMNS}
    return values | {"prompt_ids": case.example.prompt_ids, "answer_ids": case.example.answer_ids}


def _decode(values: dict[str, Any]) -> Case:
    example = Example(*(values[name] for name in _EXAMPLE_COLUMNS))
    return Case(example=example, **{name: value for name, value in values.items() if name not in _EXAMPLE_COLUMNS})


_EXAMPLE_COLUMNS = ("prompt_ids", "answer_ids")
_CODEC = RowCodec(
    Features(
        {
            "conversation": Value("string"),
            "turn": Value("int32"),
            "topic": Value("string"),
            "messages": List({"role": Value("string"), "content": Value("string")}),
            "retrieved": List(Value("string")),
            "passages": List(Value("string")),
            "prompt_ids": List(Value("int32")),
            "answer_ids": List(Value("int32")),
        }
    ),
    _encode,
    _decode,
)


class Examples(Dataset[Example]):
    """The examples of some cases, read when they are asked for."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = cases

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, index: int) -> Example:
        return self._cases[index].example

    def lengths(self) -> list[int]:
        """Tokens of each example."""
        return [case.example.length for case in self._cases]


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
            position_of = {index: position for position, index in enumerate(pool)}
            yield from sorted(batches, key=lambda batch: position_of[batch[0]])


class ChatDataModule(lightning.LightningDataModule):
    """Training and validation batches of the prepared conversations."""

    def __init__(self, data_dir: Path, builder: PromptBuilder, settings: ChatSettings, seed: int) -> None:
        super().__init__()
        self._data_dir, self._builder, self._settings, self._seed = data_dir, builder, settings, seed
        self.train_cases: Sequence[Case] = ()
        self.val_cases: Sequence[Case] = ()

    def setup(self, stage: str) -> None:
        """Read both splits; Lightning calls this on every process.

        Raises:
            DataError: as `read_cases`.
        """
        self.train_cases = read_cases(self._data_dir, "train", self._builder, self._settings)
        self.val_cases = read_cases(self._data_dir, "val", self._builder, self._settings)

    def train_dataloader(self) -> DataLoader[TokenBatch]:
        examples = Examples(self.train_cases)
        sampler = EpochShuffle(len(examples), self._seed, resumed_epoch(self))
        return self._loader(examples, BucketBatches(sampler, self._settings.batch_size, False, examples.lengths()))

    def val_dataloader(self) -> DataLoader[TokenBatch]:
        examples = Examples(self.val_cases)
        return self._loader(examples, length_batches(examples.lengths(), self._settings.score_batch_tokens))

    def _loader(self, examples: Examples, batches: Any) -> DataLoader[TokenBatch]:
        pad_id = int(self._builder.tokenizer.pad_token_id)
        return DataLoader(
            examples,
            batch_sampler=batches,
            collate_fn=partial(collate, pad_id=pad_id),
            num_workers=self._settings.num_workers,
        )
