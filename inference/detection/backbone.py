"""Small convolutional backbone with a top-down neck, made for training from scratch on a CPU.

Residual blocks of two 3x3 convolutions (arXiv 1512.03385, section 3.3) at strides 4, 8, 16 and 32; the deeper maps
are added into the shallower ones on the way up (arXiv 1612.03144, section 3), and one map at `out_stride` goes to
the transformer. Cells carry their coordinates (CoordConv, arXiv 1807.03247): a DETR adds positions to its keys
only, so the values that its decoder gathers lack their position until an encoder has learnt to add it. This
backbone exists because the DETR code of transformers freezes every `nn.BatchNorm2d` of a backbone and the first
stage of a "resnet": right for pretrained weights, fatal for random ones.

Importing this module registers `aura_compact` with transformers' AutoConfig and AutoBackbone.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import AutoBackbone, AutoConfig, PreTrainedConfig, PreTrainedModel
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput

_STRIDES = (4, 8, 16, 32)
_OCTAVES = (0.5, 1, 2, 4)
"""Frequencies of the coordinate maps, in half cycles over the half image."""


class CompactConfig(BackboneConfigMixin, PreTrainedConfig):
    """Shape of the backbone.

    Attributes:
        stem_size: channels of the first convolution (stride 2).
        hidden_sizes: channels of the stages at strides 4, 8, 16 and 32.
        depths: residual blocks of each stage.
        neck_size: channels of the output map.
        out_stride: input pixels per cell of the output map: 4, 8, 16 or 32.
    """

    model_type = "aura_compact"

    stem_size: int = 24
    hidden_sizes: list[int] | tuple[int, ...] = (32, 64, 128, 192)
    depths: list[int] | tuple[int, ...] = (1, 1, 2, 1)
    neck_size: int = 96
    out_stride: int = 8
    _out_features: list[str] | None = None
    _out_indices: list[int] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if self.out_stride not in _STRIDES:
            raise ValueError(f"out_stride must be one of {_STRIDES}, got {self.out_stride}")
        if len(self.hidden_sizes) != len(_STRIDES) or len(self.depths) != len(_STRIDES):
            raise ValueError(f"hidden_sizes and depths need {len(_STRIDES)} values: {self.hidden_sizes}, {self.depths}")
        self.stage_names = ["neck"]
        self.set_output_features_output_indices(
            out_indices=kwargs.pop("out_indices", None), out_features=kwargs.pop("out_features", None)
        )
        super().__post_init__(**kwargs)


class TrainableNorm2d(_BatchNorm):
    """Batch normalisation that stays trainable: not an `nn.BatchNorm2d`, which transformers' DETRs would freeze."""

    def _check_input_dim(self, input: torch.Tensor) -> None:
        if input.dim() != 4:
            raise ValueError(f"expected (B, C, H, W), got {tuple(input.shape)}")


class ConvNorm(nn.Sequential):
    """Convolution without bias, then batch normalisation, then ReLU if `active`."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, active: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False),
            TrainableNorm2d(outputs),
        ]
        if active:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


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


class CompactBackbone(BackboneMixin, PreTrainedModel):
    """One feature map (B, neck_size, H / out_stride, W / out_stride), rounded up, from images (B, 3, H, W)."""

    config_class = CompactConfig
    config: CompactConfig
    base_model_prefix = "compact"
    main_input_name = "pixel_values"
    has_attentions = False

    def __init__(self, config: CompactConfig) -> None:
        super().__init__(config)
        self.num_features = [config.neck_size]
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
        self._first_out = _STRIDES.index(config.out_stride)
        self.laterals = nn.ModuleList(
            ConvNorm(size, config.neck_size, kernel=1, active=False) for size in config.hidden_sizes[self._first_out :]
        )
        self.merge = ConvNorm(config.neck_size + 2 + 4 * len(_OCTAVES), config.neck_size)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, TrainableNorm2d):
            # Not `reset_parameters`: it would also reset the running statistics that were loaded.
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(self, pixel_values: torch.Tensor, **kwargs: Any) -> BackboneOutput:
        """(B, 3, H, W) normalised float pixels -> one map in `feature_maps`."""
        maps: list[torch.Tensor] = []
        x = self.stem(pixel_values)
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        deep = self.laterals[-1](maps[-1])
        for index in range(len(self.laterals) - 2, -1, -1):
            shallow = self.laterals[index](maps[self._first_out + index])
            deep = shallow + nn.functional.interpolate(deep, size=shallow.shape[-2:], mode="nearest")
        return BackboneOutput(feature_maps=(self.merge(torch.cat([torch.relu(deep), _coordinate_maps(deep)], dim=1)),))


def _coordinate_maps(like: torch.Tensor) -> torch.Tensor:
    """Maps (B, 2 + 4 octaves, H, W) of cell coordinates: x and y in -1..1, and their sines and cosines."""
    batch, _, height, width = like.shape
    options = {"device": like.device, "dtype": like.dtype}
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height, **options), torch.linspace(-1, 1, width, **options), indexing="ij"
    )
    angles = [torch.pi * octave * axis for octave in _OCTAVES for axis in (x, y)]
    maps = torch.stack([x, y, *map(torch.sin, angles), *map(torch.cos, angles)])
    return maps.expand(batch, -1, -1, -1)


AutoConfig.register(CompactConfig.model_type, CompactConfig, exist_ok=True)
AutoBackbone.register(CompactConfig, CompactBackbone, exist_ok=True)
