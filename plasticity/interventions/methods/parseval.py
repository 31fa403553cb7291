"""A pull of each layer's rows towards orthogonal ones of one length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.core.errors import UserError
from plasticity.interventions.layers import layers
from plasticity.interventions.method import Method, Pass
from plasticity.runs import MethodFacts, Number, methods

if TYPE_CHECKING:
    from torch import Tensor

    from plasticity.models.network import Network


class Parseval(Method):
    """See `parseval`."""

    def __init__(self, network: Network, strength: float, scale: float) -> None:
        self.strength = strength
        self.scale = scale
        found = layers(network)
        self.weights = [one.weight for name, one in found.items() if name not in network.head]
        if not self.weights:
            raise UserError(
                "the network has no weights before its last layer, which is left out; take a "
                "deeper network, or leave the method out"
            )

    def loss(self, at: Pass) -> Tensor:
        """``strength`` times the sum over groups of rows W of |W W' - scale I|^2."""
        import torch

        terms = []
        for weight in self.weights:
            matrix = weight.flatten(1)
            for rows in torch.split(matrix, matrix.shape[1]):
                aim = self.scale * torch.eye(len(rows), dtype=rows.dtype, device=rows.device)
                terms.append((rows @ rows.T - aim).square().sum())
        return self.strength * torch.stack(terms).sum()


@methods.member(
    "parseval{strength}[-s{scale}]",
    facts=MethodFacts(acts="loss"),
    strength=Number(above=0),
    scale=Number(above=0, default=2.0),
)
def parseval(network: Network, initial: Network, *, strength: float, scale: float) -> Method:
    """The loss plus `strength` times the sum over groups of rows W of |W W' - `scale` I|^2.

    Chung et al. 2024 (*Parseval Regularization for Continual Reinforcement Learning*), strength
    0.001, scale 2. Over the weights of convolutions, linear layers and attention but for the last
    layer; kernels are matrices [out, in x k x k]. A matrix with more rows than columns, whose rows
    cannot be orthogonal, is cut into groups of as many rows as it has columns, from the first one
    on; the public code takes a number of equal groups, one unless it is told. It also multiplies
    the strength by (64 / width)^2, which is left to the spelling here.
    """
    return Parseval(network, strength, scale)
