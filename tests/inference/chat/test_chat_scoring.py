"""Nats per answer token: exact to the token, and the same in a batch as alone."""

from __future__ import annotations

import pytest
import torch

from inference.chat.model import ChatModel
from inference.chat.prompt import Example
from inference.chat.scoring import IGNORED, answer_nats, collate, length_batches

EXAMPLES = [
    Example([5, 6, 7, 8], [9, 10, 2]),
    Example([11, 12], [13, 2]),
    Example([20, 21, 22, 23, 24, 25, 26], [27, 28, 29, 30, 2]),
]


def test_labels_are_the_answers_and_nothing_else() -> None:
    batch = collate(EXAMPLES, pad_id=2)
    for row, example in enumerate(EXAMPLES):
        labels = batch.labels[row]
        assert labels[labels != IGNORED].tolist() == example.answer_ids
        # The label of a position is the token that stands there: the right edge of the input, answer for answer.
        inputs = batch.input_ids[row, -labels.numel() :]
        assert torch.equal(inputs[labels != IGNORED], labels[labels != IGNORED])
        kept = batch.input_ids[row][batch.attention_mask[row] == 1].tolist()
        assert kept == example.prompt_ids + example.answer_ids
    assert batch.answer_tokens == 10


def test_nats_are_those_of_the_plain_formula(tiny_chat: ChatModel) -> None:
    for example in EXAMPLES:
        ids = torch.tensor([example.prompt_ids + example.answer_ids])
        with torch.inference_mode():
            log_probabilities = tiny_chat.model(input_ids=ids).logits.log_softmax(-1)[0]
            begin = len(example.prompt_ids)
            expected = [
                -log_probabilities[begin + place - 1, token].item() for place, token in enumerate(example.answer_ids)
            ]
            got = answer_nats(tiny_chat.model, collate([example], pad_id=2))[0]
        torch.testing.assert_close(got, torch.tensor(expected), rtol=1e-4, atol=1e-4)


def test_prompt_tokens_get_no_loss(tiny_chat: ChatModel) -> None:
    """The gradient of the loss with respect to the logits is zero everywhere but before answer tokens."""
    batch = collate(EXAMPLES, pad_id=2)
    kept: list[torch.Tensor] = []

    def keep(_module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        output = output.detach().requires_grad_()
        kept.append(output)
        return output

    hook = tiny_chat.model.get_output_embeddings().register_forward_hook(keep)
    try:
        answer_nats(tiny_chat.model, batch).sum().backward()
    finally:
        hook.remove()
    touched = kept[0].grad.abs().sum(-1) > 0
    assert torch.equal(touched, batch.labels != IGNORED)


def test_a_batch_gives_what_single_examples_give(tiny_chat: ChatModel) -> None:
    together = tiny_chat.answer_nats(EXAMPLES, batch_tokens=1000)
    alone = [tiny_chat.answer_nats([example])[0] for example in EXAMPLES]
    assert together == pytest.approx(alone, rel=1e-4)


def test_length_batches_hold_every_index_once_within_the_budget() -> None:
    lengths = [7, 300, 12, 5, 80, 81, 79, 5000]
    batches = length_batches(lengths, batch_tokens=250)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or max(lengths[index] for index in batch) * len(batch) <= 250
