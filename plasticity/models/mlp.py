"""Fully connected networks."""

from __future__ import annotations

from torch import nn

from plasticity.models.network import Network
from plasticity.models.resnet import Output


class MLP(Network):
    """`depth` hidden layers of `width` units with ReLU, on all pixels, and a linear output."""

    def __init__(self, classes: int, pixels: int, *, depth: int, width: int) -> None:
        super().__init__()
        inputs = [pixels, *[width] * (depth - 1)]
        hidden = [nn.Sequential(nn.Linear(units, width), nn.ReLU()) for units in inputs]
        hidden[0] = nn.Sequential(nn.Flatten(), *hidden[0])
        self.numbered = nn.ModuleList([*hidden, Output(width, classes)])
