"""What a method is: what it does during a stage besides the update rule, and what it is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

    from plasticity.models.network import Network


class Again(Protocol):
    """A further pass over the batch of a step: see `Pass`."""

    def __call__(self, rows: slice = slice(None)) -> Tensor:
        """Make it over these `rows` of the batch; the cross-entropy."""


@dataclass(frozen=True)
class Activation:
    """What a module that is watched was given, and what it made of it, in the pass of a step."""

    input: Tensor
    output: Tensor

    def detached(self) -> Activation:
        """The same, through which no gradients flow."""
        return Activation(self.input.detach(), self.output.detach())


@dataclass(frozen=True)
class Step:
    """A step, on a batch: `images`, normalised float32 [b, c, h, w], and `labels`, int64 [b].

    All on the device that trains.
    """

    network: Network
    optimiser: Optimizer
    images: Tensor
    labels: Tensor

    def moments(self, parameter: Tensor) -> list[Tensor]:
        """What the optimiser remembers of each entry of `parameter`, such as momentum.

        Tensors of its shape, to be changed in place; none before the first step.
        """
        slots = self.optimiser.state.get(parameter, {}).values()
        return [slot for slot in slots if getattr(slot, "shape", None) == parameter.shape]


@dataclass(frozen=True)
class Pass(Step):
    """A step whose forward pass was made.

    `logits`, float32 [b, classes], and `loss`, their mean cross-entropy; `activations` of the
    modules that are `Method.watched`, by the names that it gives them. In `Method.loss` gradients
    flow through them. `again` evaluates the loss of the batch, or of some of its `rows`, anew at
    the present weights, terms of methods included, leaves the gradients of this there, and returns
    the cross-entropy; buffers, such as running statistics, stay those of the first pass.
    """

    logits: Tensor
    loss: Tensor
    again: Again
    activations: Mapping[str, Activation] = field(default_factory=lambda: MappingProxyType({}))

    def detached(self) -> Pass:
        """The same, through which no gradients flow."""
        seen = {name: one.detached() for name, one in self.activations.items()}
        logits, loss = self.logits.detach(), self.loss.detach()
        return replace(self, logits=logits, loss=loss, activations=seen)


class Method:
    """What a method does during a stage: a subclass gives the parts that it has.

    One is made when a stage begins or goes on, given the network and another as the run was
    initialised, both on the device that trains. It remembers what its attributes hold when the
    stage is ended and goes on: tensors, numbers and texts, alone or in lists, tuples and dicts, and
    other networks, each an attribute that is made with it. What belongs to the network that is
    trained, its modules, parameters and buffers, it may keep as well. Draws are from torch's global
    generators, which belong to the stage.

    A step is made in this order: forward pass; `loss` of all methods; backward pass;
    `change_gradients` of each; the update rule; `change_weights` of each. Methods take their turns
    as they are spelt. On a GPU all of it is recorded with the step and replayed: operations on the
    device, without a look at a value, and what is remembered is changed in place. An `event` is
    not recorded.
    """

    def watched(self) -> Mapping[str, nn.Module]:
        """Modules of the network whose activations it asks for, by any names."""
        return {}

    def loss(self, at: Pass) -> Tensor | None:
        """A term that is added to the loss, a scalar."""

    def change_gradients(self, at: Pass) -> None:
        """Change the gradients of the network's parameters in place, before the update rule."""

    def change_weights(self, at: Pass) -> None:
        """Change the network's weights in place, after the update rule. Gradients are there.

        What was pruned is 0, and is so again afterwards.
        """

    def event(self, at: Step) -> None:
        """What happens every so many steps or epochs, before the step `at`, never the first one.

        Weights, and what the optimiser remembers of them, are changed in place. What was pruned is
        0 again afterwards.
        """

    def evaluated(self) -> nn.Module | None:
        """The network to evaluate, and for later stages to start from, instead of the trained one.

        The same one each time. One method of a stage has one, and acts on the ``second``.
        """
        return None
