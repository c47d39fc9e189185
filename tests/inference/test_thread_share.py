"""A pass takes its share of the processor for itself alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from inference.thread_share import share_of_threads


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def _threads_of_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(torch.get_num_threads).result()


@pytest.mark.usefixtures("four_threads")
@pytest.mark.parametrize(("passes", "expected"), [(1, 4), (2, 2), (3, 1), (8, 1)])
def test_a_share_holds_for_its_own_thread_and_its_own_time(passes: int, expected: int) -> None:
    with share_of_threads(passes):
        assert torch.get_num_threads() == expected
        assert _threads_of_a_new_thread() == 4
    assert torch.get_num_threads() == 4
    assert _threads_of_a_new_thread() == 4


@pytest.mark.usefixtures("four_threads")
def test_a_thread_that_begins_with_a_share_has_all_of_them_afterwards() -> None:
    def shared() -> tuple[int, int]:
        with share_of_threads(2):
            inside = torch.get_num_threads()
        return inside, torch.get_num_threads()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(shared).result() == (2, 4)
