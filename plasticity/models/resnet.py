"""Residual networks for small images, in six modules, by depth and width."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, relu

from plasticity.models.network import Network

VECTOR = 16
"""Channels of float32 that a processor handles at once: 16 with AVX-512, 8 with AVX2."""


GROUP = 16
"""Channels that a group of group normalisation has at least (Wu and He 2018, table 3)."""


def crelu(features: Tensor) -> Tensor:
    """The positive and the negative part, [n, c, h, w] to [n, 2 c, h, w] (Shang et al. 2016)."""
    return torch.cat([relu(features), relu(-features)], dim=1)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": relu,
    "leaky": leaky_relu,  # with the framework's slope of 0.01
    "crelu": crelu,
}


@dataclass(frozen=True)
class Style:
    """How layers are normalised, and the activation that follows, as the options spell them.

    - `normalisation`: ``batch``; ``group``, in groups of at least `GROUP` channels; ``layer``, over
      channels and positions, with a scale and a shift a channel (Wu and He 2018); ``nonorm``, none:
      convolutions then have a bias.
    - `activation`: ``relu``, ``leaky`` or ``crelu``, after which there are twice the channels.
    """

    normalisation: str = "batch"
    activation: str = "relu"

    @property
    def bias(self) -> bool:
        """Whether convolutions have one: normalisation would take it away again."""
        return self.normalisation == "nonorm"

    def channels(self, outputs: int) -> int:
        """The channels that the activation makes of `outputs`."""
        return 2 * outputs if self.activation == "crelu" else outputs

    def normalised(self, channels: int) -> nn.Module:
        """A layer that normalises `channels`."""
        if self.normalisation == "batch":
            return nn.BatchNorm2d(channels)
        if self.normalisation == "nonorm":
            return nn.Identity()
        # Of one channel a group, an image of one pixel would always be normalised to zero.
        most = channels // GROUP if self.normalisation == "group" else 1
        groups = next((n for n in range(most, 1, -1) if channels % n == 0), 1)
        return nn.GroupNorm(groups, channels)

    def active(self, features: Tensor) -> Tensor:
        """`features` after the activation."""
        return ACTIVATIONS[self.activation](features)


PLAIN = Style()


class StridedPointwise(nn.Conv2d):
    """A 1 x 1 convolution that may change the resolution."""

    def __init__(self, inputs: int, outputs: int, stride: int, bias: bool = False) -> None:
        super().__init__(inputs, outputs, 1, stride, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        """[n, inputs, h, w] to [n, outputs, h / stride, w / stride]."""
        if images.device.type == "cpu" and self.in_channels < VECTOR:
            # The backward pass of oneDNN 3.12, which comes with torch 2.13, writes beyond its
            # memory where such a convolution has a stride and fewer channels than a vector: jobs
            # crash (its issue 6035). Leaving pixels out beforehand gives the same numbers.
            vertical, horizontal = self.stride
            return conv2d(images[..., ::vertical, ::horizontal], self.weight, self.bias)
        return super().forward(images)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al. 2016, figure 5 left).

    The shortcut is the identity, or a normalised 1 x 1 convolution where the shape changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, style: Style = PLAIN) -> None:
        super().__init__()
        self.style, bias, hidden = style, style.bias, style.channels(outputs)
        self.convolution1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=bias)
        self.normalisation1 = style.normalised(outputs)
        self.convolution2 = nn.Conv2d(hidden, outputs, 3, padding=1, bias=bias)
        self.normalisation2 = style.normalised(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                StridedPointwise(inputs, outputs, stride, bias), style.normalised(outputs)
            )

    def forward(self, images: Tensor) -> Tensor:
        """[n, inputs, h, w] to [n, channels of the activation, h / stride, w / stride]."""
        active = self.style.active
        hidden = active(self.normalisation1(self.convolution1(images)))
        return active(self.normalisation2(self.convolution2(hidden)) + self.shortcut(images))


class Stem(nn.Module):
    """A 3 x 3 convolution at full resolution, without pooling, as is usual at 32 x 32 pixels."""

    def __init__(self, channels: int, width: int, style: Style = PLAIN) -> None:
        super().__init__()
        self.style = style
        self.convolution = nn.Conv2d(channels, width, 3, padding=1, bias=style.bias)
        self.normalisation = style.normalised(width)

    def forward(self, images: Tensor) -> Tensor:
        """[n, channels, h, w] to [n, channels of the activation, h, w]."""
        return self.style.active(self.normalisation(self.convolution(images)))


class Output(nn.Linear):
    """A linear layer whose outputs are logits."""

    def forward(self, features: Tensor) -> Tensor:
        """[n, features] to logits [n, classes]."""
        # Logits in float32 also under autocast: in bfloat16 the two largest are often equal.
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float())


class Head(Output):
    """The mean over all positions and a linear layer."""

    def forward(self, features: Tensor) -> Tensor:
        """[n, features, h, w] to logits [n, classes]."""
        # The mean over two axes: the backward pass of adaptive pooling is not deterministic.
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float().mean((2, 3)))


class ResNet(Network):
    """The network of Berariu et al., appendix A.4, in the modules of their figure 6.

    1 is the stem; 2 to 5 are four modules of `depth` blocks with `width`, 2, 4 and 8 times `width`
    channels, all but the first halving the resolution; 6 is the linear output layer.
    """

    def __init__(
        self, classes: int, channels: int, *, depth: int, width: int, style: Style = PLAIN
    ) -> None:
        super().__init__()
        self.numbered = nn.ModuleList(
            residual_modules(classes, channels, [width * 2**n for n in range(4)], depth, style)
        )


def residual_modules(
    classes: int, channels: int, widths: list[int], depth: int, style: Style
) -> list[nn.Module]:
    """A stem, `depth` blocks for each of `widths`, all but the first of these halving, a head."""
    modules: list[nn.Module] = [Stem(channels, widths[0], style)]
    for before, width in pairwise([widths[0], *widths]):
        stride = 1 if len(modules) == 1 else 2
        modules.append(blocks(style.channels(before), width, depth, stride, style))
    return [*modules, Head(style.channels(widths[-1]), classes)]


def blocks(
    inputs: int, outputs: int, depth: int, stride: int, style: Style = PLAIN
) -> nn.Sequential:
    """`depth` blocks, of which the first changes channels and resolution."""
    first, active = BasicBlock(inputs, outputs, stride, style), style.channels(outputs)
    rest = (BasicBlock(active, outputs, 1, style) for _ in range(depth - 1))
    return nn.Sequential(first, *rest)
