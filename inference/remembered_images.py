"""Image encoders that remember: a picture takes 25 ms of a processor, and comes again.

A night reads the pictures of the last one, and each stage those of the other: these are remembered on disk, in the cache folder
by encoder, in files that are written once and never changed, so that processes may share it. `make clean` removes them. A service
meets the same items of its catalog with every request, and keeps nothing of what users send but for a while in memory.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from aura.lineage import value_hash
from aura.paths import cache_dir
from inference.image_encoder import FloatArray, ImageEncoder
from inference.recent_vectors import RecentVectors
from inference.references import weights_behind

KEPT = 4
"""Encoders whose vectors are kept: of two profiles, before and after a change of code."""
_KEY_BYTES = 16
logger = logging.getLogger(__name__)


class RecentImages:
    """Encodes a picture once, as long as it is among the last 4096. Safe to share by threads."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder
        self._recent = RecentVectors(encoder.dim)

    @property
    def reference(self) -> str:
        return self._encoder.reference

    @property
    def dim(self) -> int:
        return self._encoder.dim

    def encode(self, images: Sequence[Image.Image]) -> FloatArray:
        """float32 (N, dim), each of L2 norm 1, in the order of the images."""
        keys = [_key(image) for image in images]
        return self._recent.encode(keys, lambda places: self._encoder.encode([images[place] for place in places]))


class RememberedImages:
    """Encodes a picture once per machine and encoder; see `inference.image_encoder.ImageEncoder`."""

    def __init__(self, encoder: ImageEncoder) -> None:
        self._encoder = encoder
        self._folder = _folder_of(encoder)
        self._known = _read(self._folder, encoder.dim)

    @property
    def reference(self) -> str:
        return self._encoder.reference

    @property
    def dim(self) -> int:
        return self._encoder.dim

    def encode(self, images: Sequence[Image.Image]) -> FloatArray:
        """float32 (N, dim), each of L2 norm 1, in the order of the images."""
        keys = [_key(image) for image in images]
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in self._known}
        if new:
            vectors = dict(zip(new, self._encoder.encode(list(new.values())), strict=True))
            self._known |= vectors
            _write(self._folder, vectors)
        return np.array([self._known[key] for key in keys], dtype=np.float32).reshape(len(keys), self.dim)


def _folder_of(encoder: ImageEncoder) -> Path:
    """By reference, weights and the code that encodes; older folders are removed but for a few."""
    code = [file.read_text(encoding="utf-8") for file in sorted(Path(__file__).parent.glob("*.py"))]
    identity = value_hash([encoder.reference, weights_behind(encoder.reference), code])[:32]
    folder = cache_dir() / "image-features" / identity
    folder.mkdir(parents=True, exist_ok=True)
    folder.touch()
    for old in sorted(folder.parent.iterdir(), key=lambda kept: kept.stat().st_mtime, reverse=True)[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return folder


def _key(image: Image.Image) -> bytes:
    """Hash of what an encoder reads: pixels, and how they become an upright RGB picture."""
    content = hashlib.blake2b(digest_size=_KEY_BYTES)
    turned, transparent = image.getexif().get(ExifTags.Base.Orientation), image.info.get("transparency")
    content.update(repr((image.mode, image.size, image.getpalette(), turned, transparent)).encode())
    content.update(image.tobytes())
    return content.digest()


def _read(folder: Path, dim: int) -> dict[bytes, np.ndarray]:
    known: dict[bytes, np.ndarray] = {}
    for file in sorted(folder.glob("*.safetensors")):
        try:
            content = load_file(file)
            keys, vectors = content["keys"], content["vectors"]
        except (OSError, SafetensorError, KeyError) as error:
            logger.warning("made again: image features in %s are damaged: %s", file, error)
            continue
        if keys.shape == (len(vectors), _KEY_BYTES) and vectors.shape[1:] == (dim,):
            known |= zip((key.tobytes() for key in keys), vectors, strict=True)
    return known


def _write(folder: Path, vectors: dict[bytes, np.ndarray]) -> None:
    """Keep vectors for the next process; without that they are made again."""
    keys = np.frombuffer(b"".join(vectors), dtype=np.uint8).reshape(len(vectors), _KEY_BYTES)
    file = folder / f"{hashlib.sha256(keys.tobytes()).hexdigest()[:32]}.safetensors"
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        save_file({"keys": keys, "vectors": np.stack(list(vectors.values()))}, temporary)
        temporary.replace(file)
    except OSError as error:
        logger.warning("image features are not kept for the next start: %s", error)
    finally:
        temporary.unlink(missing_ok=True)
