"""The layers of a network with weights, on which remedies act.

What stands here is read without torch, as methods are declared with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from plasticity.core.errors import UserError

if TYPE_CHECKING:
    from torch.nn import Parameter

    from plasticity.models.network import Network

BIASES = {"weight": "bias", "in_proj_weight": "in_proj_bias"}
"""The name of the bias that belongs to a weight."""


@dataclass(frozen=True)
class Layer:
    """A convolution, a linear layer or a projection of attention.

    `weight` is [out, in / groups, kernel, ..], or [in, out / groups, kernel, ..] where it is
    `transposed`, as of a transposed convolution; `bias` is [out] or None. A layer that makes
    queries, keys and values at once is one layer.
    """

    weight: Parameter
    bias: Parameter | None
    groups: int = 1
    transposed: bool = False

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """Its weight, and its bias where it has one."""
        return (self.weight,) if self.bias is None else (self.weight, self.bias)


def layers(network: Network) -> dict[str, Layer]:
    """The layers of `network` by the names of their weights, in its order.

    A weight that several share is listed once; frozen ones are among them. Raises `UserError` where
    there is none, and where one computes its weight from other parameters, so that it cannot be
    set.
    """
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    from plasticity.models import masks

    others = (
        "take another network, or a remedy that treats all parameters alike, such as "
        "shrink0.4-fresh0.1 or l2init0.001"
    )
    for name, module in network.named_modules():
        if isinstance(module, _ConvNd | nn.Linear) and "weight" not in module._parameters:
            raise UserError(
                f"layer {name} of the network computes its weight from other parameters, as weight "
                f"or spectral normalisation does: this remedy cannot act on it; {others}"
            )
    found = {}
    for name in masks.prunable(network):
        path, _, entry = name.rpartition(".")
        module = network.get_submodule(path)
        bias = module._parameters.get(BIASES.get(entry, ""))
        groups, transposed = getattr(module, "groups", 1), getattr(module, "transposed", False)
        found[name] = Layer(network.get_parameter(name), bias, groups, transposed)
    if not found:
        raise UserError(
            f"network {type(network).__name__} has no weights of convolutions, linear layers or "
            f"attention, on which this remedy acts; {others}"
        )
    return found
