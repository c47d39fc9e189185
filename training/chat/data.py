"""Conversations as examples: one per answer, with the prompt that serving builds at that point.

Prompt and passages come from the code that serves. What is to be learnt depends on the way of answering: quoted, which sentences
of the passages hold the answer's facts; free, the answer's own words.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import lightning
from datasets import Features, List, Value
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler

from aura.errors import DataError, InvalidRequestError
from aura.prepared_rows import PREPARE_AGAIN, DialogueRow, iter_rows
from inference.chat.passages import ChatPassage, search_query
from inference.chat.prompt import Example, PromptBuilder
from inference.chat.scoring import TokenBatch, collate, length_batches
from training.chat.alignment import answer_facts
from training.chat.choices import ChoiceBatch, ChoiceExample, choice_example, collate_choices
from training.chat.passages import PassageFinder, with_support
from training.chat.settings import ChatSettings
from training.row_table import RowCodec, RowTable
from training.trainer import EpochShuffle, resumed_epoch

ChatBatch = TokenBatch | ChoiceBatch

_POOL_BATCHES = 8
_ROWS_AHEAD = 256
"""Conversations whose texts are embedded at once."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One answer of one conversation.

    Attributes:
        turn: 0 for the first answer.
        topic: topic of the first page that the conversation is grounded in.
        messages: the conversation up to and with the answer.
        passages: what the question finds, best first, with the one that supports the answer among them.
        chosen: sentences that hold the answer's facts.
        example: what the model reads and what it is to say.
    """

    conversation: str
    turn: int
    topic: str
    messages: list[dict[str, str]]
    passages: list[ChatPassage]
    chosen: list[str]
    example: Example | ChoiceExample


def read_cases(
    data_dir: Path, split: str, builder: PromptBuilder, settings: ChatSettings, *, quoted: bool
) -> RowTable[Case]:
    """Every answer of a split, in the file's order, in a mapped table.

    Args:
        quoted: whether examples are choices of sentences or answers.

    Raises:
        DataError: the file is missing, empty or broken, or names pages that are not there.
    """
    with PassageFinder(data_dir / "knowledge" / "pages", settings.retrieval) as finder:
        return _written_cases(data_dir / "chat" / f"{split}.jsonl", builder, finder, settings, quoted)


def _written_cases(
    path: Path, builder: PromptBuilder, finder: PassageFinder, settings: ChatSettings, quoted: bool
) -> RowTable[Case]:
    cases = RowTable.write(_all_cases(path, builder, finder, settings, quoted), _CODEC)
    if not cases:
        raise DataError(f"no conversation in {path}", hint="write more dialogues, or raise this split's share")
    return cases


def _all_cases(
    path: Path, builder: PromptBuilder, finder: PassageFinder, settings: ChatSettings, quoted: bool
) -> Iterator[Case]:
    rows = iter_rows(path, DialogueRow)
    while some := list(islice(rows, _ROWS_AHEAD)):
        finder.embedder.encode([text for row in some for text in _embedded_texts(row)])
        for row in some:
            try:
                yield from _cases(row, builder, finder, settings, quoted)
            except InvalidRequestError as error:
                raise DataError(
                    f"{path.name}, conversation {row.id!r} cannot be put to the model: {error.message}",
                    hint=PREPARE_AGAIN,
                ) from error


def _embedded_texts(row: DialogueRow) -> Iterator[str]:
    """What is embedded of a conversation: the queries of its questions, and the facts of its answers."""
    messages = [message.model_dump() for message in row.messages]
    for end, message in enumerate(messages):
        if message["role"] == "assistant":
            yield search_query(messages[:end])
            yield from answer_facts(message["content"])


def _cases(
    row: DialogueRow, builder: PromptBuilder, finder: PassageFinder, settings: ChatSettings, quoted: bool
) -> Iterator[Case]:
    messages = [message.model_dump() for message in row.messages]
    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    for turn, end in enumerate(answers):
        support = finder.support(row.documents, messages[end]["content"])
        if support is None:
            continue  # no sentence of its pages says what it says: it would teach to invent
        passages = with_support(finder.retrieve(messages[:end], settings.passages), support.passage)
        example: Example | ChoiceExample
        if quoted:
            prompt = builder.choice_prompt(messages[:end], passages)
            example = choice_example(prompt, support.sentences, settings.negatives, seed=f"{row.id}/{turn}")
            if not example.answering:
                continue  # the passages before it leave no room for the one that answers
        else:
            example = builder.example(messages[: end + 1], [passage.whole for passage in passages])
        yield Case(
            conversation=row.id,
            turn=turn,
            topic=finder.topics[row.documents[0]],
            messages=messages[: end + 1],
            passages=passages,
            chosen=support.sentences,
            example=example,
        )


def _encode(case: Case) -> dict[str, Any]:
    values = {name: getattr(case, name) for name in _CODEC.features if name not in _EXAMPLE_COLUMNS}
    values["passages"] = [asdict(passage) for passage in case.passages]
    return values | {name: getattr(case.example, name, None) for name in _EXAMPLE_COLUMNS}


def _decode(values: dict[str, Any]) -> Case:
    rest = {name: value for name, value in values.items() if name not in _EXAMPLE_COLUMNS}
    rest["passages"] = [ChatPassage(**passage) for passage in rest["passages"]]
    example: Example | ChoiceExample = (
        Example(values["prompt_ids"], values["answer_ids"])
        if values["answering"] is None
        else ChoiceExample(values["answering"], values["others"], values["asked"])
    )
    return Case(example=example, **rest)


_EXAMPLE_COLUMNS = ("prompt_ids", "answer_ids", "answering", "others", "asked")
_CODEC = RowCodec(
    Features(
        {
            "conversation": Value("string"),
            "turn": Value("int32"),
            "topic": Value("string"),
            "messages": List({"role": Value("string"), "content": Value("string")}),
            "passages": List(
                {
                    "source": Value("string"),
                    "text": Value("string"),
                    "similarity": Value("float64"),
                    "relevance": Value("float64"),
                }
            ),
            "chosen": List(Value("string")),
            "prompt_ids": List(Value("int32")),
            "answer_ids": List(Value("int32")),
            "answering": List(List(Value("int32"))),
            "others": List(List(Value("int32"))),
            "asked": List(Value("int32")),
        }
    ),
    _encode,
    _decode,
)


class Examples(Dataset[Example | ChoiceExample]):
    """The examples of some cases, read when they are asked for."""

    def __init__(self, cases: Sequence[Case]) -> None:
        self._cases = cases

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, index: int) -> Example | ChoiceExample:
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

    def __init__(
        self, data_dir: Path, builder: PromptBuilder, settings: ChatSettings, seed: int, *, quoted: bool
    ) -> None:
        super().__init__()
        self._data_dir, self._builder, self._settings, self._seed = data_dir, builder, settings, seed
        self._quoted = quoted
        self.train_cases: Sequence[Case] = ()
        self.val_cases: Sequence[Case] = ()

    def setup(self, stage: str) -> None:
        """Read both splits; Lightning calls this on every process.

        Raises:
            DataError: as `read_cases`.
        """
        with PassageFinder(self._data_dir / "knowledge" / "pages", self._settings.retrieval) as finder:
            self.train_cases, self.val_cases = (
                _written_cases(
                    self._data_dir / "chat" / f"{split}.jsonl", self._builder, finder, self._settings, self._quoted
                )
                for split in ("train", "val")
            )

    def train_dataloader(self) -> DataLoader[ChatBatch]:
        examples = Examples(self.train_cases)
        sampler = EpochShuffle(len(examples), self._seed, resumed_epoch(self))
        return self._loader(examples, BucketBatches(sampler, self._settings.batch_size, False, examples.lengths()))

    def val_dataloader(self) -> DataLoader[ChatBatch]:
        examples = Examples(self.val_cases)
        return self._loader(examples, length_batches(examples.lengths(), self._settings.score_batch_tokens))

    def _loader(self, examples: Examples, batches: Any) -> DataLoader[ChatBatch]:
        pad_id = int(self._builder.tokenizer.pad_token_id)
        collate_fn: Callable[..., ChatBatch] = partial(collate_choices if self._quoted else collate, pad_id=pad_id)
        return DataLoader(
            examples,
            batch_sampler=batches,
            collate_fn=collate_fn,
            num_workers=self._settings.num_workers,
        )
