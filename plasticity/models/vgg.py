"""VGG networks for small images."""

from __future__ import annotations

from torch import Tensor, nn

from plasticity.models.network import Network
from plasticity.models.resnet import Head

WIDTHS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""The channels of the 13 convolutions, block by block (Simonyan and Zisserman 2015, column D)."""


class Halving(nn.Module):
    """The largest of 2 x 2 pixels; an image of one row or column of pixels stays as it is."""

    def forward(self, images: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c, h // 2, w // 2]."""
        height, width = images.shape[2] // 2, images.shape[3] // 2
        if not (height and width):
            return images
        cropped = images[..., : 2 * height, : 2 * width]
        # Not by max_pool2d, whose backward pass may add in any order on a GPU.
        pixels = cropped.reshape(*images.shape[:2], height, 2, width, 2)
        return pixels.amax((3, 5))


class VGG16(Network):
    """VGG-16 with batch normalisation, for CIFAR: 13 convolutions and one linear layer.

    As in the public code of Liu ("pytorch-cifar"): 3 x 3 convolutions with a bias, a maximum over
    2 x 2 pixels after each block, and no hidden layers behind them. 1 to 5 are the blocks, 6 the
    linear output layer. Images of less than 32 pixels are halved less often, and over what is left
    of larger ones a mean is taken.
    """

    def __init__(self, classes: int, channels: int) -> None:
        super().__init__()
        modules: list[nn.Module] = []
        for widths in WIDTHS:
            layers: list[nn.Module] = []
            for width in widths:
                layers += [
                    nn.Conv2d(channels, width, 3, padding=1),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
                channels = width
            modules.append(nn.Sequential(*layers, Halving()))
        self.numbered = nn.ModuleList([*modules, Head(channels, classes)])
