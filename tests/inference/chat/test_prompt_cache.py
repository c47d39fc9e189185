"""Scores behind prompts that are kept are those of the whole prompts, and what is kept is bounded."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from inference.chat.model import ChatModel
from inference.chat.prompt import Example
from inference.chat.prompt_cache import PromptCache
from inference.chat.scoring import score_examples

PAD = 2


def examples(prompts: int, answers: int, seed: int = 0) -> list[Example]:
    """Every answer behind every prompt; of many lengths."""
    rng = random.Random(seed)
    ids = [[rng.randrange(5, 400) for _ in range(rng.randrange(2, 40))] for _ in range(prompts + answers)]
    return [Example(prompt, answer) for answer in ids[prompts:] for prompt in ids[:prompts]]


class Counted:
    """A model that counts the tokens that it is given."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.tokens = 0

    def parameters(self) -> Any:
        return self._model.parameters()

    def __call__(self, input_ids: Any, **given: Any) -> Any:
        self.tokens += input_ids.numel()
        return self._model(input_ids=input_ids, **given)


@pytest.mark.parametrize("batch_tokens", [1, 64, 4096])
def test_scores_are_those_of_whole_prompts_when_read_and_when_kept(tiny_chat: ChatModel, batch_tokens: int) -> None:
    asked = examples(prompts=5, answers=4)
    expected = score_examples(tiny_chat.model, asked, PAD, 4096)
    cache = PromptCache(tiny_chat.model, PAD, max_bytes=2**30)
    for _ in range(2):
        assert cache.nats(asked, batch_tokens) == pytest.approx(expected, rel=1e-4)


def test_a_prompt_that_is_kept_is_not_read_again(tiny_chat: ChatModel) -> None:
    model: Any = Counted(tiny_chat.model)
    cache = PromptCache(model, PAD, max_bytes=2**30)
    first, second = examples(prompts=6, answers=1), examples(prompts=6, answers=2)[6:]
    assert [example.prompt_ids for example in first] == [example.prompt_ids for example in second]
    cache.nats(first, 4096)
    before = model.tokens
    cache.nats(second, 4096)
    assert model.tokens - before == 6 * len(second[0].answer_ids)


def test_what_is_kept_is_bounded_and_what_was_used_last_stays(tiny_chat: ChatModel) -> None:
    model: Any = Counted(tiny_chat.model)
    [one] = examples(prompts=1, answers=1)
    cache = PromptCache(model, PAD, max_bytes=2**30)
    cache.nats([one], 4096)
    cost = model.tokens
    others = examples(prompts=4, answers=1, seed=1)
    bounded = PromptCache(
        model, PAD, max_bytes=sum(map(len, (other.prompt_ids for other in others))) * 2 * 2 * 2 * 16 * 4
    )
    expected = score_examples(tiny_chat.model, others, PAD, 4096)
    bounded.nats([one], 4096)
    assert bounded.nats(others, 4096) == pytest.approx(expected, rel=1e-4), (
        "those at hand are kept until they are scored"
    )
    before = model.tokens
    bounded.nats(others, 4096)
    assert model.tokens - before == 4 * len(others[0].answer_ids)
    before = model.tokens
    bounded.nats([one], 4096)
    assert model.tokens - before == cost, "it had to go, and is read again"


def test_threads_that_share_a_cache_get_the_scores_of_one_alone_and_keep_a_prompt_once(tiny_chat: ChatModel) -> None:
    asked = [examples(prompts=3, answers=2, seed=seed) for seed in range(4)]
    expected = [score_examples(tiny_chat.model, each, PAD, 4096) for each in asked]
    cache = PromptCache(tiny_chat.model, PAD, max_bytes=2**30)
    together = threading.Barrier(3)

    def score(each: list[Example]) -> list[float]:
        together.wait(60)  # all three miss the same prompts
        return cache.nats(each, 4096)

    with ThreadPoolExecutor(3) as pool:
        for each, alone in zip(asked, expected, strict=True):
            for found in pool.map(score, [each] * 3):
                assert found == pytest.approx(alone, rel=1e-4)
    assert len(cache._kept) == 12
    assert cache._bytes == sum(states.nbytes for states in cache._kept.values())
