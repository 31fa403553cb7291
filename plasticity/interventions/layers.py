"""The parts of a network that methods act on: its weights by layer, and what of it is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.core.errors import UserError

if TYPE_CHECKING:
    from torch.nn import Parameter

    from plasticity.models.network import Network


def weights_of(network: Network, method: str) -> dict[str, Parameter]:
    """The weights of convolutions, linear layers and attention by name, from input to output.

    Raises `UserError`, for the `method` that needs them, where there are none, and where a layer
    computes its weight from other parameters.
    """
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    from plasticity.models.masks import prunable

    for name, layer in network.named_modules():
        if isinstance(layer, _ConvNd | nn.Linear) and "weight" not in layer._parameters:
            raise UserError(
                f"method {method}: layer {name} of the network computes its weight from other "
                "parameters, as weight or spectral normalisation does; take a network without, or "
                "leave the method out"
            )
    found = {name: network.get_parameter(name) for name in prunable(network)}
    if not found:
        raise UserError(
            f"method {method}: network {type(network).__name__} has no weights of convolutions, "
            "linear layers or attention, which is what it acts on; take another network, or leave "
            "the method out"
        )
    return found


def trained(network: Network) -> list[Parameter]:
    """The parameters of `network` that are not frozen."""
    return [one for one in network.parameters() if one.requires_grad]
