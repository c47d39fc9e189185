"""Small convolutional backbone, made for training from scratch on a CPU.

Residual blocks of two 3x3 convolutions (arXiv 1512.03385, section 3.3) at strides 4, 8, 16 and 32, and the neck of
`inference.detection.neck`. This backbone exists because the DETR code of transformers freezes every `nn.BatchNorm2d` of a
backbone and the first stage of a "resnet": right for pretrained weights, fatal for random ones.

Importing this module registers `aura_compact` with transformers' AutoConfig and AutoBackbone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoBackbone, AutoConfig
from transformers.modeling_outputs import BackboneOutput

from inference.detection.neck import ConvNorm, NeckConfig, NeckedBackbone


class CompactConfig(NeckConfig):
    """Shape of the backbone.

    Attributes:
        stem_size: channels of the first convolution (stride 2).
        hidden_sizes: channels of the stages at strides 4, 8, 16 and 32.
        depths: residual blocks of each stage.
    """

    model_type = "aura_compact"

    stem_size: int = 24
    hidden_sizes: list[int] | tuple[int, ...] = (32, 64, 128, 192)
    depths: list[int] | tuple[int, ...] = (1, 1, 2, 1)

    def __post_init__(self, **kwargs: Any) -> None:
        if len(self.hidden_sizes) != len(self.strides) or len(self.depths) != len(self.strides):
            raise ValueError(
                f"hidden_sizes and depths need {len(self.strides)} values: {self.hidden_sizes}, {self.depths}"
            )
        super().__post_init__(**kwargs)


class ResidualBlock(nn.Module):
    """x + conv(conv(x)); the shortcut is a strided 1x1 convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, stride=stride)
        self.second = ConvNorm(outputs, outputs, active=False)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else ConvNorm(inputs, outputs, kernel=1, stride=stride, active=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C_in, H, W) float -> (B, C_out, H / stride, W / stride)."""
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class CompactBackbone(NeckedBackbone):
    """See `NeckedBackbone`."""

    config_class = CompactConfig
    config: CompactConfig
    base_model_prefix = "compact"

    def __init__(self, config: CompactConfig) -> None:
        super().__init__(config)
        self.stem = ConvNorm(3, config.stem_size, stride=2)
        sizes = (config.stem_size, *config.hidden_sizes)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    ResidualBlock(
                        sizes[stage] if block == 0 else sizes[stage + 1], sizes[stage + 1], stride=2 - (block > 0)
                    )
                    for block in range(depth)
                )
            )
            for stage, depth in enumerate(config.depths)
        )
        self._make_neck(config.hidden_sizes)
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **kwargs: Any) -> BackboneOutput:
        """(B, 3, H, W) normalised float pixels -> one map in `feature_maps`."""
        maps: list[torch.Tensor] = []
        x = self.stem(pixel_values)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return self._joined(maps)


AutoConfig.register(CompactConfig.model_type, CompactConfig, exist_ok=True)
AutoBackbone.register(CompactConfig, CompactBackbone, exist_ok=True)
