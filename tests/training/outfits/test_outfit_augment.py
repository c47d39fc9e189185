"""How garments are shown in training: moved and mirrored, sometimes without title or picture, never recoloured."""

from __future__ import annotations

import pytest
import torch

from inference.outfits.towers import ItemTensors
from tests.training.outfits.conftest import quick_settings
from training.outfits.augment import show

_N, _SIDE = 200, 16
_TEXTS = torch.eye(12)


def _items(image: torch.Tensor | None = None) -> ItemTensors:
    torch.manual_seed(0)
    if image is None:
        image = torch.randint(0, 256, (_N, 3, _SIDE, _SIDE), dtype=torch.uint8)
    return ItemTensors(image, torch.ones(_N, dtype=torch.bool), torch.randn(_N, 12), torch.arange(_N) % 12)


def _show(items: ItemTensors, **changes: float) -> ItemTensors:
    still = {"drop_title_probability": 0, "drop_image_probability": 0, "shift": 0}
    return show(items, _TEXTS, quick_settings(**still | changes))


def test_without_moving_a_picture_is_as_it_was_or_mirrored() -> None:
    items = _items()
    before, after = items.image.float(), _show(items).image
    same = (after - before).abs().amax(dim=(1, 2, 3)) < 0.01
    mirrored = (after - before.flip(3)).abs().amax(dim=(1, 2, 3)) < 0.01
    assert (same ^ mirrored).all()
    assert 60 < mirrored.sum() < 140


def test_a_plain_colour_stays_what_it_is_wherever_it_moves() -> None:
    colour = torch.randint(0, 256, (_N, 3, 1, 1), dtype=torch.uint8)
    shown = _show(_items(colour.expand(_N, 3, _SIDE, _SIDE).contiguous()), shift=0.3).image
    torch.testing.assert_close(shown, colour.float().expand_as(shown), atol=0.01, rtol=0)


def test_moving_stays_within_the_asked_share_of_the_side() -> None:
    image = torch.full((_N, 3, _SIDE, _SIDE), 255, dtype=torch.uint8)
    image[:, :, 7:9, 7:9] = 0
    shown = _show(_items(image), shift=0.2).image
    assert shown.min() >= -0.01
    assert shown.max() <= 255.01
    dark = (255 - shown[:, 0]).clamp(min=0)
    place = torch.arange(_SIDE) + 0.5
    for axis in (1, 2):
        centre = (dark.sum(dim=3 - axis) * place).sum(dim=1) / dark.sum(dim=(1, 2))
        away = (centre - _SIDE / 2).abs() / _SIDE
        # A zoom of up to 20 % scales the way as well.
        assert 0.1 < away.max() < 0.2 / 0.8 + 0.05


def test_titles_give_way_to_the_category_and_pictures_to_none() -> None:
    items = _items()
    shown = _show(items, drop_title_probability=1, drop_image_probability=1)
    assert torch.equal(shown.text, _TEXTS[items.category])
    assert not shown.has_image.any()
    kept = _show(items)
    assert torch.equal(kept.text, items.text)
    assert kept.has_image.all()
    some = _show(items, drop_title_probability=0.3, drop_image_probability=0.6)
    untitled = (some.text == _TEXTS[items.category]).all(dim=1)
    assert untitled.float().mean().item() == pytest.approx(0.3, abs=0.12)
    assert some.has_image.float().mean().item() == pytest.approx(0.4, abs=0.12)
    assert torch.equal(some.text[~untitled], items.text[~untitled])


def test_a_garment_without_picture_gets_none() -> None:
    items = _items()
    items.has_image[::2] = False
    assert torch.equal(_show(items, shift=0.1).has_image, items.has_image)


def test_frozen_features_are_left_alone_and_so_is_the_table() -> None:
    features = _items(torch.randn(_N, 5))
    assert torch.equal(_show(features, shift=0.3).image, features.image)
    items = _items()
    before = [tensor.clone() for tensor in (items.image, items.has_image, items.text)]
    _show(items, shift=0.3, drop_title_probability=0.5, drop_image_probability=0.5)
    for was, tensor in zip(before, (items.image, items.has_image, items.text), strict=True):
        assert torch.equal(was, tensor)


def test_the_same_state_of_the_generator_shows_the_same() -> None:
    items = _items()

    def shown(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return _show(items, shift=0.2).image

    assert torch.equal(shown(1), shown(1))
    assert not torch.equal(shown(1), shown(2))
