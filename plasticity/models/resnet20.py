"""ResNet-20 for small images, in five modules, by width."""

from __future__ import annotations

import math

import torch
from torch import nn

from plasticity.models.network import Network
from plasticity.models.resnet import PLAIN, Style, residual_modules


class ResNet20(Network):
    """The network of He et al. 2016, section 4.2, with 20 layers and 16 as its `width`.

    1 is the stem; 2 to 4 are three modules of three blocks with `width`, 2 and 4 times `width`
    channels, all but the first halving the resolution; 5 is the linear output layer. Shortcuts
    where the shape changes are normalised 1 x 1 convolutions, which the 20 layers do not count.
    """

    def __init__(self, classes: int, channels: int, *, width: int, style: Style = PLAIN) -> None:
        super().__init__()
        self.numbered = nn.ModuleList(
            residual_modules(classes, channels, [width, 2 * width, 4 * width], 3, style)
        )

    def draw_layer(self, layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
        """Draw weights from a normal distribution of variance 2 / fan in; biases are zero.

        Kaiming normal with a gain of sqrt(2), as weights are in the public code of Frankle et al.
        (R: not stated in the paper at hand). There biases keep the framework's default, and scales
        of normalisations are drawn from 0 .. 1; zero biases and the identity are our choice.
        """
        std = math.sqrt(2 / layer.weight[0].numel())
        # Drawn aside, in the order of the indices, as `draw_uniform`.
        drawn = torch.empty(layer.weight.shape).normal_(0, std, generator=generator)
        layer.weight.copy_(drawn)
        if layer.bias is not None:
            layer.bias.zero_()
