"""Answers that are generated in one batch are those that are generated alone, however they join and leave."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from inference.chat.batched_decoding import BatchedDecoder
from inference.chat.model import ChatModel
from inference.chat.settings import GenerationSettings


def decoder(chat: ChatModel, settings: GenerationSettings | None = None) -> BatchedDecoder:
    return BatchedDecoder(chat.model, settings or GenerationSettings(), chat._end_ids, threading.Lock())


def prompts(count: int) -> list[list[int]]:
    """Of very different lengths."""
    rng = random.Random(5)
    return [[rng.randrange(10, 400) for _ in range(3 + 17 * number)] for number in range(count)]


def alone(chat: ChatModel, ids: list[int], tokens: int) -> list[int]:
    with torch.inference_mode():
        made = chat.model.generate(
            torch.tensor([ids]), max_new_tokens=tokens, do_sample=False, eos_token_id=sorted(chat._end_ids)
        )
    return [int(token) for token in made[0, len(ids) :]]


def test_answers_of_one_batch_are_those_of_transformers_generate(tiny_chat: ChatModel) -> None:
    asked = prompts(6)
    batched = decoder(tiny_chat)
    streams = [batched.generate_ids(ids, 9 + 3 * number) for number, ids in enumerate(asked)]
    firsts = [next(stream) for stream in streams]  # all are in the batch now, each at another token
    assert len(batched._rows) == len(asked)
    made = [[first, *stream] for first, stream in zip(firsts, streams, strict=True)]
    assert made == [alone(tiny_chat, ids, 9 + 3 * number) for number, ids in enumerate(asked)]


def test_threads_that_come_and_go_get_their_own_answers(tiny_chat: ChatModel) -> None:
    asked = prompts(8) * 2
    batched = decoder(tiny_chat)
    with ThreadPoolExecutor(5) as pool:
        made = list(pool.map(lambda ids: list(batched.generate_ids(ids, 12)), asked))
    assert made == [alone(tiny_chat, ids, 12) for ids in asked]


def test_who_leaves_takes_its_place_in_the_batch_along(tiny_chat: ChatModel) -> None:
    short, *_, long = prompts(6)
    batched = decoder(tiny_chat)
    stays, leaves = batched.generate_ids(short, 12), batched.generate_ids(long, 50)
    made = [next(stays)]
    next(leaves)
    made.append(next(stays))
    assert batched._mask_BT.shape[1] >= len(long)
    leaves.close()
    made += stays
    assert made == alone(tiny_chat, short, 12)
    assert len(batched._rows) <= 1
    assert batched._mask_BT.shape[1] < len(short) + 13, "the padding that the long one needed is gone"


def test_sampling_gives_a_question_one_answer_whoever_else_asks(tiny_chat: ChatModel) -> None:
    settings = GenerationSettings(temperature=1.0, top_p=0.9, seed=3, repetition_penalty=1.2)
    first, second, *_ = prompts(3)
    expected = list(decoder(tiny_chat, settings).generate_ids(first, 10))
    batched = decoder(tiny_chat, settings)
    other, again = batched.generate_ids(second, 10), batched.generate_ids(first, 10)
    next(other)
    assert list(again) == expected


def test_an_error_reaches_all_who_wait_and_the_next_answer_is_made(
    tiny_chat: ChatModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    batched = decoder(tiny_chat)
    streams: list[Iterator[int]] = [batched.generate_ids(ids, 9) for ids in prompts(2)]
    for stream in streams:
        next(stream)
    with monkeypatch.context() as broken:
        broken.setattr(tiny_chat.model, "forward", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            list(streams[0])
    with pytest.raises(ZeroDivisionError):
        list(streams[1])
    assert list(batched.generate_ids([5, 6], 4)) == alone(tiny_chat, [5, 6], 4)
