"""Examples of the quoted way: a question, sentences that answer it and sentences beside them that do not.

The loss is the negative log of the share that the sentences that answer have in the likelihood of the question (the contrast of
arXiv 2004.04906, section 3, with query likelihood for the score), and a part of the question's own nats behind them, which keeps
the adapter a language model of questions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from inference.chat.prompt import ChoicePrompt, Example
from inference.chat.scoring import TokenBatch, collate

_QUESTION_SHARE = 0.3
"""Weight of the question's nats per token."""


@dataclass(frozen=True)
class ChoiceExample:
    """One question.

    Attributes:
        answering, others: token ids of prompts, each with a sentence that answers, or that does not.
        asked: token ids of the question.
    """

    answering: list[list[int]]
    others: list[list[int]]
    asked: list[int]

    @property
    def length(self) -> int:
        """Tokens that go through the model."""
        return sum(len(prompt) + len(self.asked) for prompt in [*self.answering, *self.others])


@dataclass(frozen=True)
class ChoiceBatch:
    """Some questions behind all their sentences.

    Attributes:
        tokens: the B pairs of sentence and question.
        question: int64 (B,), index of each pair's question.
        answers: bool (B,), whether the pair's sentence answers.
    """

    tokens: TokenBatch
    question: Tensor
    answers: Tensor

    @property
    def groups(self) -> int:
        """Number of questions."""
        return int(self.question[-1]) + 1

    def to(self, device: torch.device | str) -> ChoiceBatch:
        return ChoiceBatch(self.tokens.to(device), self.question.to(device), self.answers.to(device))


def choice_example(prompt: ChoicePrompt, chosen: Sequence[str], negatives: int, seed: str) -> ChoiceExample:
    """Example of a question with the sentences that answer and at most `negatives` of the others, drawn by `seed`."""
    answering = [
        example.prompt_ids
        for example, sentence in zip(prompt.examples, prompt.sentences, strict=True)
        if sentence.text in chosen
    ]
    others = [example.prompt_ids for example in prompt.examples if example.prompt_ids not in answering]
    drawn = random.Random(seed).sample(others, min(negatives, len(others)))
    return ChoiceExample(answering, drawn, prompt.examples[0].answer_ids)


def collate_choices(examples: Sequence[ChoiceExample], pad_id: int) -> ChoiceBatch:
    """Batch of the questions in their order."""
    pairs, question, answers = [], [], []
    for index, example in enumerate(examples):
        for prompts, answering in ((example.answering, True), (example.others, False)):
            pairs += [Example(prompt, example.asked) for prompt in prompts]
            question += [index] * len(prompts)
            answers += [answering] * len(prompts)
    return ChoiceBatch(collate(pairs, pad_id), torch.tensor(question), torch.tensor(answers))


def choice_loss(nats: Tensor, batch: ChoiceBatch) -> Tensor:
    """Mean loss of the questions, in nats.

    Args:
        nats: float (B,), negative log-likelihood of the question behind each sentence.
    """
    tokens = (batch.tokens.labels >= 0).sum(dim=1)
    losses = []
    for index in range(batch.groups):
        own, answering = batch.question == index, batch.answers & (batch.question == index)
        choice = torch.logsumexp(-nats[own], 0) - torch.logsumexp(-nats[answering], 0)
        losses.append(choice + _QUESTION_SHARE * (nats[answering] / tokens[answering]).mean())
    return torch.stack(losses).mean()
