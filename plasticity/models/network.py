"""What every network offers: numbered modules, and initialisation from an explicit generator."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Self

import torch
from torch import Tensor, nn


class Network(nn.Module):
    """A classifier whose parameters all belong to one of its numbered modules.

    A subclass gives `numbered`, its modules from the input (number 1) to the output.
    """

    numbered: nn.ModuleList

    def module(self, number: int) -> nn.Module:
        """The module that the papers call `number`, counted from 1 at the input."""
        return self.numbered[number - 1]

    def fresh(self, generator: torch.Generator) -> Self:
        """A network of the same architecture, on the CPU, drawn from the initial distribution."""
        network = deepcopy(self).to("cpu")
        initialise(network, generator)
        return network


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every parameter of `network` from PyTorch's default distribution, in place.

    Weights of convolutions and linear layers are uniform in +- 1 / sqrt(fan in), as are biases of
    linear layers; normalisation starts as the identity with running statistics of zero mean and
    unit variance. Berariu et al. do not state their initialisation: this is the framework's
    default and our inference. Raises `TypeError` for a layer with parameters of any other kind.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            bound = 1 / math.sqrt(layer.weight[0].numel())
            _draw_uniform(layer.weight, bound, generator)
            if layer.bias is not None:
                _draw_uniform(layer.bias, bound, generator)
        elif isinstance(layer, nn.BatchNorm2d):
            layer.reset_parameters()
        elif any(True for _ in layer.parameters(recurse=False)):
            raise TypeError(f"no initial distribution is known for {type(layer).__name__}")


def _draw_uniform(parameter: Tensor, bound: float, generator: torch.Generator) -> None:
    # Drawn aside, in the order of the indices: a draw in place would follow the order in memory.
    parameter.copy_(torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator))
