"""Networks as users write them; `own_members` lets them be spelt."""

import random

import numpy as np
import torch
from torch import nn
from torch.nn.functional import max_pool2d, max_unpool2d
from torch.nn.utils import parametrizations

from plasticity.models.network import Network
from plasticity.models.resnet import Head


def network_of(*modules):
    network = Network()
    network.numbered = nn.ModuleList(modules)
    return network


def convolution(channels, width=8, *more):
    return nn.Sequential(nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), *more)


# Networks


def dropnet(classes, channels, height, width):
    """With dropout."""
    return network_of(convolution(channels, 8, nn.Dropout(0.5)), Head(8, classes))


def frozennet(classes, channels, height, width):
    """Whose first layer is not trained."""
    network = network_of(convolution(channels), convolution(8), Head(8, classes))
    network.numbered[0].requires_grad_(False)
    return network


class _Unused(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.first, self.spare = nn.Conv2d(channels, 8, 3, padding=1), nn.Linear(8, 2)

    def forward(self, images):
        return self.first(images).relu()


def sparenet(classes, channels, height, width):
    """With a layer that is not used."""
    return network_of(_Unused(channels), Head(8, classes))


def eightnet(classes, channels, height, width):
    """Of two modules, said to be eight."""
    return network_of(convolution(channels), Head(8, classes))


def noisynet(classes, channels, height, width):
    """With noise of three generators in each pass, also in evaluation."""

    class Noise(nn.Module):
        def forward(self, images):
            scale = 1 + 0.1 * np.random.random() + 0.1 * random.random()
            return images * scale + 0.1 * torch.randn_like(images)

    return network_of(convolution(channels, 8, Noise()), Head(8, classes))


def lazynet(classes, channels, height, width):
    """Fully connected, of as many inputs as there are."""
    return network_of(
        nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.ReLU()), nn.Linear(8, classes)
    )


class _Last(nn.LayerNorm):
    def forward(self, images):
        return super().forward(images.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Mean(nn.Module):
    def forward(self, images):
        return images.mean((2, 3))


def normnet(classes, channels, height, width):
    """With all kinds of normalisation, and a learned activation."""
    return network_of(
        convolution(channels, 8, nn.GroupNorm(2, 8), _Last(8), nn.PReLU(), _Mean()),
        nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.ReLU()),
        nn.Linear(8, classes),
    )


def wrongnet(classes, channels, height, width):
    """Whose layers do not fit."""
    return network_of(convolution(channels), Head(9, classes))


def othernet(classes, channels, height, width):
    """Which is no module."""
    return [nn.Flatten(), nn.Linear(64, classes)]


def manynet(classes, channels, height, width):
    """With logits for more classes than there are."""
    return nn.Sequential(convolution(channels), Head(8, 5))


class _Pair(nn.Linear):
    def forward(self, images):
        return super().forward(images.flatten(1)), images


def pairnet(classes, channels, height, width):
    """Which returns more than logits."""
    return _Pair(channels * height * width, classes)


class _Unpool(nn.Linear):
    def forward(self, images):
        pooled, places = max_pool2d(images, 2, return_indices=True)
        return super().forward(max_unpool2d(pooled, places, 2).flatten(1))


def headfirst(classes, channels, height, width):
    """Whose head is not the last of its modules."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(8, classes)
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, 8))

        def forward(self, images):
            return self.head(self.body(images).relu())

    return Network()


def unpoolnet(classes, channels, height, width):
    """With an operation that is not reproducible."""
    return _Unpool(channels * height * width, classes)


class LeNet(nn.Module):
    """As textbooks have it: of torch alone, with a view of what convolutions give."""

    def __init__(self, classes, channels, height, width):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 8, 3, padding=1)
        self.fc = nn.Linear(8 * (height // 2) * (width // 2), classes)

    def forward(self, images):
        features = max_pool2d(self.conv1(images).relu(), 2)
        features = self.conv2(features).relu()
        return self.fc(features.view(-1, self.fc.in_features))


def lenet(classes, channels, height, width):
    """Of torch alone, with facts about nothing."""
    return LeNet(classes, channels, height, width)


class Tokens(nn.Module):
    """A parameter of its own beside a module of attention of torch's."""

    def __init__(self, classes, channels, height, width):
        super().__init__()
        self.patches = nn.Conv2d(channels, 8, 4, 4)
        self.layers = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True), 1,
            enable_nested_tensor=False,
        )  # fmt: skip
        self.head = nn.Linear(8, classes)
        self.token = nn.Parameter(torch.randn(1, 1, 8))

    def forward(self, images):
        patches = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(images), -1, -1), patches], 1)
        return self.head(self.layers(tokens)[:, 0])


def tokens(classes, channels, height, width):
    """A transformer of torch's own layers."""
    return Tokens(classes, channels, height, width)


class _Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, images):
        return images * self.scale


def scalednet(classes, channels, height, width):
    """With a parameter of which nobody knows how it is drawn."""
    return network_of(_Scale(), convolution(channels), Head(8, classes))


def normednet(classes, channels, height, width):
    """Whose weight is computed from two parameters."""
    linear = nn.Linear(channels * height * width, classes)
    return nn.Sequential(nn.Flatten(), parametrizations.weight_norm(linear))


class _Counting(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, images):
        if self.training:
            self.seen += 1
        return images


def countingnet(classes, channels, height, width):
    """With a statistic of its own."""
    return nn.Sequential(_Counting(), nn.Flatten(), nn.Linear(channels * height * width, classes))


NETWORKS = {
    dropnet: 2, frozennet: 3, sparenet: 2, eightnet: 8, noisynet: 2, lazynet: 2, normnet: 3,
    wrongnet: 2, othernet: 2, scalednet: 3, manynet: 2, pairnet: 1, unpoolnet: 1, lenet: None,
    tokens: None, normednet: None, countingnet: None, headfirst: None,
}  # fmt: skip
