"""What every network offers: numbered modules, and initialisation from an explicit generator."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import UninitializedParameter

from plasticity.core.errors import UserError
from plasticity.runs import ModelFacts, Term


class Network(nn.Module):
    """A classifier whose parameters all belong to one of its numbered modules.

    A subclass gives `numbered`, its modules from the input (number 1) to the output.
    """

    numbered: nn.ModuleList

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images [n, channels, h, w] to logits [n, classes]."""
        for module in self.numbered:
            images = module(images)
        return images

    def draw_layer(self, layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
        """Draw the parameters of one of its layers from the initial distribution, in place.

        PyTorch's default, unless a subclass says otherwise.
        """
        draw_uniform(layer, generator)

    def module(self, number: int) -> nn.Module:
        """The module that the papers call `number`, counted from 1 at the input."""
        return self.numbered[number - 1]

    @property
    def head(self) -> frozenset[str]:
        """The names of what the last module holds, which stands for the labels alone."""
        prefix = f"numbered.{len(self.numbered) - 1}."
        return frozenset(name for name in self.state_dict() if name.startswith(prefix))

    def fresh(self, generator: torch.Generator) -> Self:
        """A network of the same architecture, on the CPU, drawn from the initial distribution."""
        network = deepcopy(self).to("cpu")
        initialise(network, generator)
        return network


def build(
    model: Term[ModelFacts], classes: int, channels: int, pixels: tuple[int, int] | None = None
) -> Network:
    """The network that `model` spells, whose weights are yet to be drawn.

    Layers that are lazy get their sizes from images of so many `pixels`, height and width. Raises
    `UserError` where its function returns something else, or a network with another number of
    modules than it declares.
    """
    network, name = model(classes, channels), model.member.name
    if not isinstance(network, Network) or not hasattr(network, "numbered"):
        raise UserError(
            f"model {name}: returns {type(network).__name__}; expected a Network, of "
            "plasticity.models.network, with its modules in numbered"
        )
    if len(network.numbered) != model.facts.modules:
        raise UserError(
            f"model {name}: declares modules={model.facts.modules} among its facts, and its "
            f"network has {len(network.numbered)} numbered modules; correct one of the two"
        )
    if pixels and any(isinstance(one, UninitializedParameter) for one in network.parameters()):
        with torch.no_grad():
            network.eval()(torch.zeros(1, channels, *pixels))
        network.train()
    return network


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every parameter of `network` from its initial distribution, in place.

    Convolutions and linear layers as a `Network` says itself, and from PyTorch's default in any
    other module; normalisation starts as the identity with running statistics of zero mean and
    unit variance. Any other layer with parameters is reset by its own `reset_parameters`, whose
    draws depend on `generator` alone. Raises `UserError` for one that has none.
    """
    draw_layer = network.draw_layer if isinstance(network, Network) else draw_uniform
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw_layer(layer, generator)
        elif isinstance(layer, _NormBase):
            layer.reset_parameters()
        elif any(True for _ in layer.parameters(recurse=False)):
            reset = getattr(layer, "reset_parameters", None)
            if reset is None:
                raise UserError(
                    f"network {type(network).__name__}: no initial distribution is known for its "
                    f"layer {type(layer).__name__}; give that a method reset_parameters"
                )
            with torch.random.fork_rng(devices=[]):
                seed = int(torch.randint(2**62, (), generator=generator))
                torch.default_generator.manual_seed(seed)
                reset()


def draw_uniform(layer: nn.Conv2d | nn.Linear, generator: torch.Generator) -> None:
    """Draw weights and biases uniformly in +- 1 / sqrt(fan in), in place.

    Berariu et al. do not state their initialisation: this is the framework's default and our
    inference.
    """
    bound = 1 / math.sqrt(layer.weight[0].numel())
    for parameter in (layer.weight, layer.bias):
        if parameter is not None:
            # Drawn aside, in the order of the indices: a draw in place would follow the order in
            # memory.
            drawn = torch.empty(parameter.shape).uniform_(-bound, bound, generator=generator)
            parameter.copy_(drawn)
