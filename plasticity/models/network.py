"""What every network offers: numbered modules, and initialisation from an explicit generator."""

from __future__ import annotations

import math
from collections.abc import Callable
from copy import deepcopy
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parameter import UninitializedParameter

from plasticity.core.errors import UserError
from plasticity.core.rng import torch_generator
from plasticity.models import generators
from plasticity.models.numbering import NumberedModule, numbered_modules
from plasticity.runs import ModelFacts, Term


class Network(nn.Module):
    """A classifier of modules that follow one another and can be drawn anew one by one.

    A subclass gives `numbered`, its modules from the input (number 1) to the output.
    """

    numbered: nn.ModuleList
    memory_format: torch.memory_format = torch.channels_last
    """The order of its weights in memory: in this one convolutions are quickest."""
    module_names: tuple[str, ...] | None = None
    """What its modules are called, where that is declared."""
    build_anew: Callable[[], Network] | None = None
    """Builds another one of the same architecture, from draws of the global generators."""

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

    @property
    def numbered_modules(self) -> tuple[NumberedModule, ...]:
        """Its modules from the input to the output; all of its state belongs to one of them."""
        return numbered_modules(self, self.module_names)

    def numbered_module(self, number: int) -> NumberedModule:
        """The module that the papers call `number`, counted from 1 at the input.

        Raises `IndexError` where there is none.
        """
        parts = self.numbered_modules
        if not 1 <= number <= len(parts):
            known = ", ".join(f"{at} {part.name}" for at, part in enumerate(parts, start=1))
            raise IndexError(
                f"there is no module {number} in this network, whose modules are {known}"
            )
        return parts[number - 1]

    def module(self, number: int) -> nn.Module:
        """The module `number` itself, as `numbered_module`."""
        return self.numbered_module(number).module

    @property
    def head(self) -> frozenset[str]:
        """The names of what the last module holds, which stands for the labels alone."""
        return frozenset(self.numbered_modules[-1].entries)

    def fresh(self, generator: torch.Generator) -> Self:
        """A network of the same architecture, on the CPU, drawn from the initial distribution."""
        network = deepcopy(self).to("cpu")
        initialise(network, generator)
        return network


class Foreign(Network):
    """Any torch module that maps images to logits, as a network of this library.

    It is given images in the usual order in memory, on which views of its own may rely. Its initial
    distribution is that of its constructor.
    """

    memory_format = torch.contiguous_format

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """See `Network.forward`; raises `UserError` for what is no tensor."""
        # Of a single channel either order would pass for the other: strides are made anew.
        logits = self.network(images.reshape(-1).view(images.shape))
        if not isinstance(logits, Tensor):
            raise UserError(
                f"network {type(self.network).__name__}: returns {type(logits).__name__} in "
                f"{'training' if self.training else 'evaluation'}; expected logits [n, classes]: "
                "put it into a module whose forward returns these alone"
            )
        return logits

    @property
    def numbered_modules(self) -> tuple[NumberedModule, ...]:
        """See `Network.numbered_modules`."""
        return tuple(
            NumberedModule(one.name, one.module, tuple(f"network.{name}" for name in one.entries))
            for one in numbered_modules(self.network, self.module_names)
        )


def build(model: Term[ModelFacts], classes: int, channels: int, height: int, width: int) -> Network:
    """The network that `model` spells, whose weights are yet to be drawn.

    Layers that are lazy get their sizes from images of `height` x `width`. Raises `UserError` where
    its function returns something else, or a network with other modules than it declares.
    """
    # The same each time: what a constructor draws and no state holds, such as an order of the
    # channels, belongs to the architecture.
    with generators.seeded(torch_generator(0, "architecture")):
        network = _made(model, classes, channels, height, width)
    network.build_anew = lambda: _made(model, classes, channels, height, width)
    declared, parts = model.facts.count(**model.own), network.numbered_modules
    found = len(parts)
    if declared is not None and found != declared:
        raise UserError(
            f"model {model.member.name}: declares modules={declared} among its facts, and its "
            f"network has {found} numbered modules ({', '.join(part.name for part in parts)}); "
            "correct one of the two"
        )
    return network


def _made(model: Term[ModelFacts], classes: int, channels: int, height: int, width: int) -> Network:
    """What its function makes of `model`, with lazy layers sized; raises `UserError`."""
    made, name = model(classes, channels, height, width), model.member.name
    empty = isinstance(made, Network) and not hasattr(made, "numbered")
    if empty or not isinstance(made, nn.Module):
        raise UserError(
            f"model {name}: returns {type(made).__name__}{' without numbered' if empty else ''}; "
            "expected a torch module that maps images [n, channels, height, width] to logits "
            "[n, classes]"
        )
    network = made if isinstance(made, Network) else Foreign(made)
    network.module_names = model.facts.names(**model.own)
    if any(isinstance(one, UninitializedParameter) for one in network.parameters()):
        with torch.no_grad():
            network.eval()(torch.zeros(1, channels, height, width))
        network.train()
    return network


@torch.inference_mode()
def require_logits(
    model: Term[ModelFacts], network: Network, classes: int, shape: tuple[int, ...]
) -> None:
    """Raise `UserError` where `network`, of `model`, has no logits for images of this `shape`.

    Of `classes`: with more of them it would train without a word.
    """
    training = network.training
    logits = network.eval()(torch.zeros(2, *shape))
    network.train(training)
    found = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if found != (2, classes):
        raise UserError(
            f"model {model.member.name}: gives {found} for 2 images of the shape {shape}; expected "
            f"logits (2, {classes}), one for each of the classes that its function is given"
        )


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every parameter of `network` from its initial distribution, in place.

    Convolutions and linear layers as a `Network` says itself, and from PyTorch's default in any
    other module; normalisation starts as the identity with running statistics of zero mean and
    unit variance. Any other layer with parameters is reset by its own `reset_parameters`, whose
    draws depend on `generator` alone. Where it has none, and in a `Foreign` network everywhere,
    the network is built anew under a seed of `generator`, and the layer is as it is there. Raises
    `UserError` where it cannot be built.
    """
    if isinstance(network, Foreign):
        network.load_state_dict(_anew(network, generator).state_dict())
        return
    draw_layer = network.draw_layer if isinstance(network, Network) else draw_uniform
    unknown: dict[str, nn.Module] = {}
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw_layer(layer, generator)
        elif isinstance(layer, _NormBase):
            layer.reset_parameters()
        elif any(True for _ in layer.parameters(recurse=False)):
            if (reset := getattr(layer, "reset_parameters", None)) is None:
                unknown[name] = layer
            else:
                with generators.seeded(generator):
                    reset()
        elif getattr(network, "build_anew", None) and any(
            True for _ in layer.buffers(recurse=False)
        ):
            unknown[name] = layer
    if not unknown:
        return
    anew = dict(_anew(network, generator).named_modules())
    for name, layer in unknown.items():
        drawn = (
            *anew[name].named_parameters(recurse=False),
            *anew[name].named_buffers(recurse=False),
        )
        for entry, value in drawn:
            getattr(layer, entry).copy_(value)


def _anew(network: nn.Module, generator: torch.Generator) -> Network:
    """A network like `network`, as its function builds it under a seed of `generator`."""
    if not isinstance(network, Network) or network.build_anew is None:
        unknown = [
            type(layer).__name__
            for layer in network.modules()
            if any(True for _ in layer.parameters(recurse=False))
            and not hasattr(layer, "reset_parameters")
        ]
        raise UserError(
            f"network {type(network).__name__}: no initial distribution is known for its "
            f"layer {', '.join(unknown)}; give that a method reset_parameters"
        )
    with generators.seeded(generator):
        return network.build_anew().to("cpu")


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
