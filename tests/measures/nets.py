"""Networks so small that their gradients and Hessians can be written down, and data for them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from plasticity.measures.rows import Examples, apart, in_a_row, trainable

CLASSES = 3


def normalised(seed: int = 0) -> nn.Sequential:
    """A convolution before batch normalisation, and a linear layer: 49 parameters."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3, bias=False),
        # No epsilon to speak of: the convolution's scale is exactly without effect.
        nn.BatchNorm2d(2, eps=1e-12),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8, CLASSES),
    )
    nn.init.uniform_(network[1].weight, 0.5, 1.5)
    return network


def data(count: int, seed: int = 1, side: int = 4) -> Examples:
    """Images of normal noise and random labels."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, side, side, generator=generator)
    return images, torch.randint(CLASSES, (count,), generator=generator)


def cut(examples: Examples, batch: int) -> list[Examples]:
    """Batches in the given order."""
    images, labels = examples
    return list(zip(images.split(batch), labels.split(batch), strict=True))


def loss_of_row(
    network: nn.Module, examples: Examples
) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """The mean loss as a function of all parameters in a row, and the present row."""
    parameters = trainable(network)
    buffers = dict(network.named_buffers())
    images, labels = examples

    def loss(row: Tensor) -> Tensor:
        pieces = apart(row, list(parameters.values()))
        state = {**dict(zip(parameters, pieces, strict=True)), **buffers}
        return cross_entropy(functional_call(network, state, (images,)), labels)

    return loss, in_a_row(parameters.values())
