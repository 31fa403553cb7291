"""Residual networks for small images, in six modules, by depth and width."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

from plasticity.models.network import Network

VECTOR = 16
"""Channels of float32 that a processor handles at once: 16 with AVX-512, 8 with AVX2."""


class StridedPointwise(nn.Conv2d):
    """A 1 x 1 convolution that changes the resolution, without a bias."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 1, stride, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """[n, inputs, h, w] to [n, outputs, h / stride, w / stride]."""
        if images.device.type == "cpu" and self.in_channels < VECTOR:
            # The backward pass of oneDNN 3.12, which comes with torch 2.13, writes beyond its
            # memory where such a convolution has a stride and fewer channels than a vector: jobs
            # crash (its issue 6035). Leaving pixels out beforehand gives the same numbers.
            vertical, horizontal = self.stride
            return conv2d(images[..., ::vertical, ::horizontal], self.weight)
        return super().forward(images)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016, figure 5 left).

    The shortcut is the identity, or a normalised 1 x 1 convolution where the shape changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.convolution1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.normalisation1 = nn.BatchNorm2d(outputs)
        self.convolution2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.normalisation2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                StridedPointwise(inputs, outputs, stride), nn.BatchNorm2d(outputs)
            )

    def forward(self, images: Tensor) -> Tensor:
        """[n, inputs, h, w] to [n, outputs, h / stride, w / stride]."""
        hidden = relu(self.normalisation1(self.convolution1(images)))
        return relu(self.normalisation2(self.convolution2(hidden)) + self.shortcut(images))


class Stem(nn.Module):
    """A 3 x 3 convolution at full resolution, without pooling, as is usual at 32 x 32 pixels."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.normalisation = nn.BatchNorm2d(width)

    def forward(self, images: Tensor) -> Tensor:
        """[n, channels, h, w] to [n, width, h, w]."""
        return relu(self.normalisation(self.convolution(images)))


class Head(nn.Linear):
    """The mean over all positions and a linear layer."""

    def forward(self, features: Tensor) -> Tensor:
        """[n, features, h, w] to logits [n, classes]."""
        # Logits in float32 also under autocast: in bfloat16 the two largest are often equal. The
        # mean over two axes, because the backward pass of adaptive pooling is not deterministic.
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float().mean((2, 3)))


class ResNet(Network):
    """The network of Berariu et al., appendix A.4, in the modules of their figure 6.

    1 is the stem; 2 to 5 are four modules of `depth` blocks with `width`, 2, 4 and 8 times `width`
    channels, all but the first halving the resolution; 6 is the linear output layer.
    """

    def __init__(self, classes: int, channels: int, *, depth: int, width: int) -> None:
        super().__init__()
        widths = [width * 2**module for module in range(4)]
        modules: list[nn.Module] = [Stem(channels, width), blocks(width, width, depth, stride=1)]
        modules += [blocks(i, o, depth, stride=2) for i, o in pairwise(widths)]
        modules.append(Head(widths[-1], classes))
        self.numbered = nn.ModuleList(modules)


def blocks(inputs: int, outputs: int, depth: int, stride: int) -> nn.Sequential:
    """`depth` blocks, of which the first changes channels and resolution."""
    first = BasicBlock(inputs, outputs, stride)
    return nn.Sequential(first, *(BasicBlock(outputs, outputs, 1) for _ in range(depth - 1)))
