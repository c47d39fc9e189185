"""How garments are shown in training: sometimes without title or picture, never otherwise."""

from __future__ import annotations

import pytest
import torch

from inference.outfits.towers import ItemTensors
from tests.training.outfits.conftest import quick_settings
from training.outfits.augment import show

_N = 400
_UNTITLED = torch.randn(_N, 12, generator=torch.Generator().manual_seed(1))


def _items() -> ItemTensors:
    torch.manual_seed(0)
    has_image = torch.arange(_N) % 4 != 0
    return ItemTensors(torch.randn(_N, 5), has_image, torch.randn(_N, 12), torch.arange(_N) % 12)


def _show(items: ItemTensors, **changes: float) -> ItemTensors:
    always = {"drop_title_probability": 0, "drop_image_probability": 0}
    return show(items, _UNTITLED, quick_settings(**always | changes))


def test_titles_give_way_to_those_that_pictures_give() -> None:
    items = _items()
    shown = _show(items, drop_title_probability=1, drop_image_probability=1)
    assert torch.equal(shown.text, _UNTITLED)
    assert torch.equal(_show(items).text, items.text)
    some = _show(items, drop_title_probability=0.3)
    untitled = (some.text == _UNTITLED).all(dim=1)
    assert untitled.float().mean().item() == pytest.approx(0.3, abs=0.1)
    assert torch.equal(some.text[~untitled], items.text[~untitled])


def test_pictures_are_hidden_where_a_title_is_left() -> None:
    items = _items()
    assert not _show(items, drop_image_probability=1).has_image.any()
    # The title that a picture gives would show what is hidden.
    whole = _show(items, drop_image_probability=1, drop_title_probability=1)
    assert torch.equal(whole.has_image, items.has_image)
    some = _show(items, drop_image_probability=0.6)
    assert some.has_image.sum().item() / items.has_image.sum().item() == pytest.approx(0.4, abs=0.1)
    assert not (some.has_image & ~items.has_image).any()


def test_everything_else_is_left_alone_and_so_is_the_table() -> None:
    items = _items()
    before = [tensor.clone() for tensor in (items.image, items.has_image, items.text, items.category)]
    shown = _show(items, drop_title_probability=0.5, drop_image_probability=0.5)
    assert torch.equal(shown.image, items.image)
    assert torch.equal(shown.category, items.category)
    for was, tensor in zip(before, (items.image, items.has_image, items.text, items.category), strict=True):
        assert torch.equal(was, tensor)


def test_the_same_state_of_the_generator_shows_the_same() -> None:
    items = _items()

    def shown(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return _show(items, drop_title_probability=0.5).text

    assert torch.equal(shown(1), shown(1))
    assert not torch.equal(shown(1), shown(2))
