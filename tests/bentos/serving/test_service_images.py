"""Images from callers: what is taken, what is refused and how."""

from __future__ import annotations

import base64
import zlib
from contextlib import suppress

import pytest
from hypothesis import given, settings
from PIL import Image

from aura.errors import InvalidRequestError
from bentos.serving.base64_text import bytes_of_base64
from bentos.serving.images import SentImage
from bentos.serving.images import decode as decode_picture
from bentos.serving.messages import RgbImage
from bentos.serving.settings import ServingSettings
from tests.damaged_exif import DAMAGED_JPEGS
from tests.pictures import HEIC, as_bytes, grey_png

LIMITS = ServingSettings()


def decode(content: bytes, limits: ServingSettings, where: str = "image") -> Image.Image:
    return decode_picture(content, limits, where).image


def decode_base64(text: str, limits: ServingSettings, where: str) -> Image.Image:
    return decode(bytes_of_base64(text, limits, where), limits, where)


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGB", "JPEG"), ("RGBA", "PNG"), ("L", "PNG"), ("P", "PNG"), ("RGB", "WEBP")]
)
def test_usual_pictures_become_rgb(mode: str, kind: str) -> None:
    image = decode(as_bytes(Image.new(mode, (30, 20)), kind), LIMITS)
    assert (image.mode, image.size) == ("RGB", (30, 20))


def test_a_photo_taken_sideways_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert decode(as_bytes(Image.new("RGB", (30, 20)), "JPEG", exif=exif), LIMITS).size == (20, 30)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "empty"), (b"not a picture", "not a readable"), (as_bytes(Image.new("RGB", (64, 64)))[:60], "not a readable"),
     (as_bytes(Image.new("RGB", (4, 4)), "BMP"), "not a readable")],
)  # fmt: skip
def test_what_is_no_picture_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"photo.*{message}") as caught:
        decode(content, LIMITS, "photo")
    assert caught.value.hint


def test_limits_are_checked_before_the_pixels_are_decoded() -> None:
    content = as_bytes(Image.new("RGB", (200, 200)))
    with pytest.raises(InvalidRequestError, match="200 x 200 pixels; at most 100"):
        decode(content, ServingSettings(max_image_pixels=100))
    with pytest.raises(InvalidRequestError, match="bytes; at most 10"):
        decode(content, ServingSettings(max_image_bytes=10))


def test_a_picture_of_a_phone_and_one_of_a_browser_are_taken() -> None:
    assert decode(HEIC, LIMITS).size == (48, 32)
    assert decode(as_bytes(Image.new("RGB", (30, 20)), "AVIF"), LIMITS).size == (30, 20)


def test_a_line_of_pixels_is_refused_however_few_they_are() -> None:
    with pytest.raises(
        InvalidRequestError, match="photo has 1 x 30000 pixels; a side may have at most 20000"
    ) as caught:
        decode(grey_png(1, 30_000, 9, bits=8), LIMITS, "photo")
    assert caught.value.hint


@pytest.mark.parametrize("size", [(1500, 1000), (1000, 1500), (8000, 10)])
def test_a_large_picture_is_reduced_and_knows_its_size(size: tuple[int, int]) -> None:
    for kind in ("JPEG", "PNG", "WEBP"):
        sent = SentImage.of(
            decode_picture(as_bytes(Image.new("RGB", size, "red"), kind), ServingSettings(decoded_side_px=300))
        )
        assert (sent.width_px, sent.height_px) == size
        assert max(sent.pixels.width_px, sent.pixels.height_px) == 300
        whole = (0.0, 0.0, float(sent.pixels.width_px), float(sent.pixels.height_px))
        assert sent.as_sent(whole) == (0, 0, *size)


def test_a_picture_that_would_fill_the_memory_is_refused() -> None:
    content = bytearray(as_bytes(Image.new("RGB", (20, 20))))
    header = slice(12, 29)  # IHDR with width and height, then its checksum
    content[16:24] = (30_000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[header]).to_bytes(4, "big")
    with pytest.raises(InvalidRequestError, match="far too many pixels; at most 40000000"):
        decode(bytes(content), LIMITS)


def test_damaged_exif_is_refused() -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x0100] = 6, 5
    content = as_bytes(Image.new("RGB", (30, 20)), "JPEG", exif=exif)
    width_as_number, width_as_text = bytes.fromhex("0100000400000001"), bytes.fromhex("0100000200000001")
    assert width_as_number in content
    with pytest.raises(InvalidRequestError, match="not a readable"):
        decode(content.replace(width_as_number, width_as_text), LIMITS)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=500)
@given(content=DAMAGED_JPEGS)
def test_whatever_the_exif_block_holds_a_picture_is_decoded_or_refused(content: bytes) -> None:
    with suppress(InvalidRequestError):
        assert min(decode(content, LIMITS).size) == 20


def as_tools_write_it(encoded: str) -> dict[str, str]:
    """What prints or sends it so, and the text."""
    lines = "\n".join(encoded[start : start + 76] for start in range(0, len(encoded), 76))
    return {
        "base64": f"{lines}\n", "PowerShell": lines.replace("\n", "\r\n"), "browser": f"data:image/png;base64,{encoded}",
        "browser with a name": f"data:image/png;name=a%20b.png;base64,{encoded}", "curl": f" data:image/png;BASE64, {lines} ",
        "for URLs": encoded.replace("+", "-").replace("/", "_"), "unpadded": encoded.rstrip("="),
    }  # fmt: skip


@pytest.mark.parametrize("tool", as_tools_write_it(""))
@pytest.mark.parametrize("side", [15, 16, 17])
def test_base64_is_read_as_tools_write_it(tool: str, side: int) -> None:
    image = Image.effect_noise((side, side), 50).convert("RGB")
    content = as_bytes(image)
    limits = ServingSettings(max_image_bytes=len(content))  # neither line breaks nor a prefix count
    assert "+" in base64.b64encode(content).decode()
    sent = as_tools_write_it(base64.b64encode(content).decode())[tool]
    assert decode_base64(sent, limits, "items.0").tobytes() == image.tobytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [("abc%def", "character '%' at position 3"), ("käse", "character 'ä' at position 1"), ("abcde", "missing or too many"),
     ("data:image/png,%89PNG", "a data URL without ;base64"), ("https://shop.example/a,b", "character ':' at position 5"),
     (" \n", "items.0 is empty")],
)  # fmt: skip
def test_what_is_wrong_with_base64_is_said(text: str, said: str) -> None:
    with pytest.raises(InvalidRequestError, match=said) as caught:
        decode_base64(text, LIMITS, "items.0")
    assert caught.value.hint


def test_base64_with_and_without_a_data_prefix_and_lossless_pixels() -> None:
    image = Image.effect_noise((16, 16), 50).convert("RGB")
    text = base64.b64encode(as_bytes(image)).decode()
    for sent in (text, f"data:image/png;base64,{text}"):
        assert decode_base64(sent, LIMITS, "items.0").tobytes() == image.tobytes()
        crossed = RgbImage.model_validate(RgbImage.of(decode_base64(sent, LIMITS, "items.0")).model_dump())
        assert crossed.image().tobytes() == image.tobytes()
    with pytest.raises(InvalidRequestError, match=r"items\.0 is not base64"):
        decode_base64("%%%", LIMITS, "items.0")


@pytest.mark.parametrize("size", [10, 11, 12])
def test_the_limit_on_base64_is_the_one_on_bytes_and_comes_before_decoding(size: int) -> None:
    text = base64.b64encode(bytes(size)).decode()
    with pytest.raises(InvalidRequestError, match="not a readable"):
        decode_base64(text, ServingSettings(max_image_bytes=size), "items.0")
    with pytest.raises(InvalidRequestError, match=f"has {size} bytes; at most {size - 1}"):
        decode_base64(text, ServingSettings(max_image_bytes=size - 1), "items.0")
    with pytest.raises(InvalidRequestError, match="bytes; at most 10"):
        decode_base64("%" * 100, ServingSettings(max_image_bytes=10), "items.0")


def test_pixels_that_do_not_fill_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match="2 x 2 px are 12 bytes, not 11"):
        RgbImage(width_px=2, height_px=2, rgb=bytes(11))
