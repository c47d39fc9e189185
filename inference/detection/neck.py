"""What every backbone of the small detector ends with: deep maps added into shallow ones, and one map for the transformer.

The deeper maps are added into the shallower ones on the way up (arXiv 1612.03144, section 3), and one map at `out_stride` goes to
the transformer. Cells carry their coordinates (CoordConv, arXiv 1807.03247): a DETR adds positions to its keys only, so the
values that its decoder gathers lack their position until an encoder has learnt to add it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.backbone_utils import BackboneConfigMixin, BackboneMixin
from transformers.modeling_outputs import BackboneOutput

NECK = ("laterals", "merge")
"""Names of the neck's modules in a backbone."""
_OCTAVES = (0.5, 1, 2, 4)
"""Frequencies of the coordinate maps, in half cycles over the half image."""


class NeckConfig(BackboneConfigMixin, PreTrainedConfig):
    """Shape of the neck.

    Attributes:
        neck_size: channels of the output map.
        out_stride: input pixels per cell of the output map, one of the class's `strides`.
    """

    strides: ClassVar[tuple[int, ...]] = (4, 8, 16, 32)
    """Strides of the maps that the backbone makes, shallow to deep."""

    neck_size: int = 96
    out_stride: int = 8
    _out_features: list[str] | None = None
    _out_indices: list[int] | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if self.out_stride not in self.strides:
            raise ValueError(f"out_stride must be one of {self.strides}, got {self.out_stride}")
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


class NeckedBackbone(BackboneMixin, PreTrainedModel):
    """One feature map (B, neck_size, H / out_stride, W / out_stride), rounded up, from images (B, 3, H, W).

    A subclass makes its layers, calls `_make_neck` and then `post_init`, and gives the maps to `_joined`.
    """

    config: NeckConfig
    main_input_name = "pixel_values"
    has_attentions = False

    def _make_neck(self, sizes: Sequence[int]) -> None:
        """Args: sizes: channels of the maps at `config.strides`."""
        config = self.config
        self.num_features = [config.neck_size]
        self._first_out = config.strides.index(config.out_stride)
        self.laterals = nn.ModuleList(
            ConvNorm(size, config.neck_size, kernel=1, active=False) for size in sizes[self._first_out :]
        )
        self.merge = ConvNorm(config.neck_size + 2 + 4 * len(_OCTAVES), config.neck_size)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, TrainableNorm2d):
            # Not `reset_parameters`: it would also reset the running statistics that were loaded.
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)

    def _joined(self, maps: Sequence[torch.Tensor]) -> BackboneOutput:
        """Maps at `config.strides` -> one map in `feature_maps`."""
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
