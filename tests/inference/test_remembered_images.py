"""Pictures are encoded once per machine; what is damaged is made again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aura.paths import cache_dir
from inference.remembered_images import KEPT, RecentImages, RememberedImages


class Counting:
    """The mean colour, and how many pictures were encoded."""

    dim = 3

    def __init__(self, reference: str = "counting") -> None:
        self.reference, self.encoded = reference, 0

    def encode(self, images: Sequence[Image.Image]) -> np.ndarray:
        self.encoded += len(images)
        rows = [np.asarray(image.convert("RGB"), dtype=np.float32).mean(axis=(0, 1)) for image in images]
        return np.array(rows, dtype=np.float32).reshape(len(images), 3)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_HOME", str(tmp_path))


def _plain(*colour: int) -> Image.Image:
    return Image.new("RGB", (4, 4), colour)


def test_a_picture_is_encoded_once_also_by_the_next_process() -> None:
    red, blue, green = _plain(200, 0, 0), _plain(0, 0, 200), _plain(0, 200, 0)
    encoder = Counting()
    remembered = RememberedImages(encoder)
    first = remembered.encode([red, blue, red])
    assert first.tolist() == [[200, 0, 0], [0, 0, 200], [200, 0, 0]]
    assert encoder.encoded == 2
    again = Counting()
    assert RememberedImages(again).encode([blue, green, red.copy()]).tolist() == [[0, 0, 200], [0, 200, 0], [200, 0, 0]]
    assert again.encoded == 1
    assert remembered.encode([]).shape == (0, 3)


def test_what_is_seen_decides_and_not_only_the_bytes() -> None:
    grey = Image.frombytes("L", (4, 3), bytes(range(12)))
    turned = Image.frombytes("L", (3, 4), bytes(range(12)))
    first, second = (Image.frombytes("P", (4, 3), bytes(range(12))) for _ in range(2))
    first.putpalette([5] * 768)
    second.putpalette([9] * 768)
    encoder = Counting()
    RememberedImages(encoder).encode([grey, turned, first, second])
    assert encoder.encoded == 4


def test_recent_pictures_are_remembered_in_memory_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.recent_vectors._KEPT", 2)
    encoder = Counting()
    recent = RecentImages(encoder)
    red, blue, green = _plain(200, 0, 0), _plain(0, 0, 200), _plain(0, 200, 0)
    assert recent.encode([red, blue, red]).tolist() == [[200, 0, 0], [0, 0, 200], [200, 0, 0]]
    assert recent.encode([blue.copy(), green]).tolist() == [[0, 0, 200], [0, 200, 0]]
    assert encoder.encoded == 3
    recent.encode([red])
    assert encoder.encoded == 4, "it was forgotten for the newer ones"
    assert recent.encode([]).shape == (0, 3)
    assert not (cache_dir() / "image-features").exists()


def test_encoders_do_not_answer_for_each_other_and_old_ones_are_removed() -> None:
    for number in range(KEPT + 2):
        encoder = Counting(f"counting-{number}")
        RememberedImages(encoder).encode([_plain(1, 2, 3)])
        assert encoder.encoded == 1
    assert len(list((cache_dir() / "image-features").iterdir())) == KEPT


@pytest.mark.parametrize("damage", [b"", b"no vectors", None])
def test_damaged_files_are_made_again(damage: bytes | None, caplog: pytest.LogCaptureFixture) -> None:
    RememberedImages(Counting()).encode([_plain(1, 2, 3)])
    (file,) = cache_dir().rglob("*.safetensors")
    file.write_bytes(file.read_bytes()[:40] if damage is None else damage)
    again = Counting()
    assert RememberedImages(again).encode([_plain(1, 2, 3)]).tolist() == [[1, 2, 3]]
    assert again.encoded == 1
    assert "are damaged" in caplog.text
