"""The auxiliary head: which tokens are positive, and that its loss falls when the tokens tell what is where."""

from __future__ import annotations

import pytest
import torch

from training.detection.auxiliary_head import AuxiliaryHead


@pytest.fixture
def head() -> AuxiliaryHead:
    torch.manual_seed(0)
    return AuxiliaryHead(hidden_size=8, n_labels=3, grid=(4, 8))


def test_tokens_in_the_middle_of_a_box_are_positive(head: AuxiliaryHead) -> None:
    # The box covers the right half; its middle part (0.6 of it) the columns whose centres lie in 0.6..0.9.
    tokens, boxes = head._assign(torch.tensor([[0.75, 0.5, 0.5, 1.0]]))
    assert {int(token) % 8 for token in tokens} == {5, 6}
    assert {int(token) // 8 for token in tokens} == {1, 2}
    assert boxes.tolist() == [0] * len(tokens)


def test_the_smaller_of_two_boxes_takes_the_token(head: AuxiliaryHead) -> None:
    tokens, boxes = head._assign(torch.tensor([[0.5, 0.5, 1.0, 1.0], [0.5, 0.5, 0.3, 0.4]]))
    chosen = dict(zip(tokens.tolist(), boxes.tolist(), strict=True))
    assert set(chosen.values()) == {0, 1}
    assert all(chosen[token] == 1 for token in (1 * 8 + 3, 1 * 8 + 4, 2 * 8 + 3, 2 * 8 + 4))


def test_a_box_smaller_than_a_cell_still_gets_a_token(head: AuxiliaryHead) -> None:
    tokens, boxes = head._assign(torch.tensor([[0.31, 0.37, 0.01, 0.01]]))
    assert tokens.tolist() == [1 * 8 + 2]
    assert boxes.tolist() == [0]


def test_a_photo_without_garments_only_has_a_focal_loss(head: AuxiliaryHead) -> None:
    nothing = {"class_labels": torch.zeros(0, dtype=torch.long), "boxes": torch.zeros(0, 4)}
    loss = head(torch.randn(1, 32, 8), [nothing])
    assert torch.isfinite(loss)
    loss.backward()
    assert head.labels.weight.grad is not None


def test_the_loss_falls_when_tokens_carry_the_answer(head: AuxiliaryHead) -> None:
    boxes = torch.tensor([[0.25, 0.5, 0.5, 1.0], [0.75, 0.5, 0.5, 1.0]])
    target = {"class_labels": torch.tensor([0, 2]), "boxes": boxes}
    tokens = torch.randn(1, 32, 8)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
    first = float(head(tokens, [target]))
    for _ in range(200):
        optimizer.zero_grad()
        head(tokens, [target]).backward()
        optimizer.step()
    assert float(head(tokens, [target])) < 0.3 * first
