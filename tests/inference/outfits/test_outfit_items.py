"""What the model reads of a garment: any picture becomes the same square on white, category and title become one text."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aura.taxonomy import CATEGORIES, Category
from inference.colour_texture import ColourTextureDescriptor
from inference.image_encoder import square
from inference.outfits import artifact
from inference.outfits.items import Item, category_text, item_text, title_words
from inference.outfits.model import OutfitModel
from inference.outfits.towers import FrozenTowers
from tests.inference.outfits.conftest import CALIBRATION, TINY, photo, term_pairs, untrained

_ORIENTATION = 274
_RED, _BLUE, _WHITE = (255, 0, 0), (0, 0, 255), (255, 255, 255)


def _halves(width: int, height: int) -> Image.Image:
    """Left half red, right half blue."""
    picture = Image.new("RGB", (width, height), _RED)
    picture.paste(_BLUE, (width // 2, 0, width, height))
    return picture


def _reopened(picture: Image.Image, form: str, **options: object) -> Image.Image:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return Image.open(stream)


def test_the_whole_picture_is_centred_on_white() -> None:
    squared = square(_halves(40, 20), 16)
    assert squared.size == (16, 16)
    assert squared.mode == "RGB"
    assert [squared.getpixel((8, y)) == _WHITE for y in (0, 3, 4, 11, 12, 15)] == [True, True, False, False, True, True]
    assert squared.getpixel((1, 8)) == _RED
    assert squared.getpixel((14, 8)) == _BLUE


@pytest.mark.parametrize("size", [(1, 1), (300, 1), (1, 300), (3, 2000), (2000, 3)])
def test_a_row_or_column_of_pixels_is_still_seen(model: OutfitModel, size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, _RED)
    values = np.asarray(square(picture, 16))
    assert (values == _RED).all(axis=2).any()
    assert (values == _RED).all(axis=2).sum() == (256 if size == (1, 1) else 16)
    embedding = model.embed_items([Item("belt", Category.ACCESSORIES, image=picture)])
    assert np.isfinite(embedding).all()


def test_exif_orientation_turns_the_picture() -> None:
    sideways = _halves(40, 20)
    exif = sideways.getexif()
    exif[_ORIENTATION] = 6
    turned = square(_reopened(sideways, "PNG", exif=exif), 16)
    # Turned clockwise by a quarter, the left half comes to lie on top.
    assert turned.getpixel((8, 2)) == _RED
    assert turned.getpixel((8, 13)) == _BLUE
    assert turned.getpixel((1, 8)) == _WHITE


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparent_pixels_count_as_white(mode: str) -> None:
    picture = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    picture.paste((0, 0, 0, 255), (0, 0, 8, 16))
    values = np.asarray(square(picture.convert(mode), 16))
    assert (values[:, :8] == 0).all()
    assert (values[:, 8:] == 255).all()


def test_half_transparent_pixels_are_mixed_with_white() -> None:
    assert square(Image.new("RGBA", (4, 4), (0, 0, 0, 128)), 16).getpixel((8, 8)) == (127, 127, 127)


@pytest.mark.parametrize("mode", ["P", "RGB", "L", "1"])
def test_a_transparent_colour_counts_as_white(mode: str) -> None:
    picture = Image.new(mode, (16, 16), 0)
    opened = _reopened(picture, "PNG", transparency=(0, 0, 0) if mode == "RGB" else 0)
    assert opened.mode == mode
    assert (np.asarray(square(opened, 16)) == 255).all()


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "P", "RGBX", "RGBA"])
def test_every_colour_mode_keeps_its_colour(model: OutfitModel, mode: str) -> None:
    picture = Image.new("RGB", (30, 20), (200, 30, 40))
    converted = picture.quantize() if mode == "P" else picture.convert(mode)
    assert converted.mode == mode
    np.testing.assert_allclose(square(converted, 16).getpixel((8, 8)), (200, 30, 40), atol=4)
    seen = model.embed_items([Item("a", Category.BAGS, image=image) for image in (picture, converted)])
    np.testing.assert_allclose(seen[0], seen[1], atol=0.02)


@pytest.mark.parametrize("mode", ["L", "LA", "I", "F", "I;16"])
def test_every_grey_mode_keeps_its_grey(mode: str) -> None:
    grey = Image.new("L", (30, 20), 82)
    picture = Image.fromarray(np.full((20, 30), 82 * 257, np.uint16)) if mode == "I;16" else grey.convert(mode)
    assert picture.mode == mode
    assert square(picture, 16).getpixel((8, 8)) == (82, 82, 82)


def test_a_cmyk_photo_file_is_read() -> None:
    opened = _reopened(Image.new("RGB", (30, 20), (200, 30, 40)).convert("CMYK"), "JPEG")
    assert opened.mode == "CMYK"
    np.testing.assert_allclose(square(opened, 16).getpixel((8, 8)), (200, 30, 40), atol=8)


def test_the_picture_of_the_caller_is_left_as_it_was() -> None:
    picture = Image.new("RGBA", (5, 9), (9, 9, 9, 0))
    square(picture, 16)
    assert (picture.mode, picture.size, picture.getpixel((0, 0))) == ("RGBA", (5, 9), (9, 9, 9, 0))


@pytest.mark.parametrize(
    ("title", "text"),
    [("red shirt", "all body: red shirt"), ("  red \n\t shirt ", "all body: red shirt"), ("", "all body"), (" \n", "all body")],
)  # fmt: skip
def test_the_text_is_category_and_title(title: str, text: str) -> None:
    assert item_text(Item("a", Category.ALL_BODY, title)) == text
    assert category_text(Category.ALL_BODY) == "all body"


def test_towers_give_what_the_network_reads(towers: FrozenTowers) -> None:
    items = [Item("a", Category.TOPS, "red shirt", image=photo(1)), Item("b", Category.LEGWEAR)]
    tensors = towers.read(items)
    assert len(tensors) == 2
    assert tensors.image.shape == (2, towers.image_features)
    np.testing.assert_array_equal(tensors.image[0].numpy(), ColourTextureDescriptor().encode([photo(1)])[0])
    assert tensors.image[1].abs().sum() == 0
    assert tensors.has_image.tolist() == [True, False]
    assert tensors.category.tolist() == [0, 11]
    texts = towers.category_texts()
    assert texts.shape == (len(CATEGORIES), towers.text.dim)
    # A garment without title says what the target token says of its category.
    torch.testing.assert_close(tensors.text[1], texts[11])
    torch.testing.assert_close(towers.read_texts(items), tensors.text)


def test_any_frozen_image_model_may_be_the_tower(tmp_path: Path, towers: FrozenTowers) -> None:
    from transformers import ViTConfig, ViTImageProcessor, ViTModel

    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ViTModel(ViTConfig(**shape, image_size=32, patch_size=16)).save_pretrained(tmp_path / "vit")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(tmp_path / "vit")
    config = TINY.model_copy(update={"image_tower": str(tmp_path / "vit")})
    frozen = FrozenTowers(config, text=towers.text)
    assert frozen.image_features == 16
    tensors = frozen.read([Item("a", Category.TOPS, image=photo(1)), Item("b", Category.TOPS)])
    assert tensors.image.shape == (2, 16)
    assert tensors.image[0].norm().item() == pytest.approx(1, abs=1e-5)
    assert tensors.image[1].abs().sum() == 0
    network = untrained(frozen, config)
    (tmp_path / "own").mkdir()
    artifact.save(network, term_pairs(), CALIBRATION, tmp_path / "own")
    outfit = [Item("a", Category.TOPS, image=photo(1)), Item("b", Category.BAGS)]
    loaded = OutfitModel.load(tmp_path / "own")
    assert loaded.score([outfit]) == OutfitModel(network, frozen, term_pairs(), CALIBRATION).score([outfit])


@pytest.mark.parametrize(
    ("title", "words"),
    [
        ("Red V-neck shirt, red", {"red", "v-neck", "shirt"}),
        ("men's Übergröße  42", {"men's", "übergröße", "42"}),
        ("", set()),
        ("- _ -", set()),
    ],
)
def test_words_of_a_title(title: str, words: set[str]) -> None:
    assert title_words(Item("a", Category.TOPS, title)) == words


def test_an_embedder_of_another_model_is_refused(towers: FrozenTowers) -> None:
    with pytest.raises(ValueError, match="another"):
        FrozenTowers(TINY.model_copy(update={"text_tower": "another"}), text=towers.text)
