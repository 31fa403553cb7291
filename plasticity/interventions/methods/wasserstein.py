"""A pull towards the distribution of the initial weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.interventions.method import Method, Pass
from plasticity.runs import MethodFacts, Number, methods

if TYPE_CHECKING:
    from torch import Tensor

    from plasticity.models.network import Network


class Wasserstein(Method):
    """See `wasserstein`."""

    def __init__(self, initial: Network, strength: float) -> None:
        self.strength = strength
        self.sorted = [one.detach().reshape(-1).sort().values for one in initial.parameters()]

    def loss(self, at: Pass) -> Tensor:
        """``strength`` times the sum over tensors of |sort(theta) - sort(theta0)|^2."""
        import torch

        pairs = zip(at.network.parameters(), self.sorted, strict=True)
        distances = [(now - _matched(now, then)).square().sum() for now, then in pairs]
        return self.strength * torch.stack(distances).sum()


def _matched(weights: Tensor, values: Tensor) -> Tensor:
    """The sorted `values`, [n], in the order of `weights`: the least where the least of these is.

    In the shape of `weights`. Of equal weights the first comes first.
    """
    order = weights.detach().reshape(-1).argsort(stable=True)
    return values.new_empty(len(values)).scatter_(0, order, values).view(weights.shape)


@methods.member("wasserstein{strength}", facts=MethodFacts(acts="loss"), strength=Number(above=0))
def wasserstein(network: Network, initial: Network, *, strength: float) -> Method:
    """The loss plus `strength` |sort(theta) - sort(theta0)|^2, a parameter tensor at a time.

    The Wasserstein regulariser of Lewandowski et al. 2023 (*Directions of Curvature as an
    Explanation for Loss of Plasticity*): L2 Init on sorted weights, n times the squared
    2-Wasserstein distance of the n values of a tensor from those that it was initialised with, so
    that which weight has which value is free. Over all parameters, biases and normalisation
    included, as in the public code of Chung et al. 2024, which divides by n where this, like
    `l2init`, does not; never more than `l2init` of the same strength. In a sub-network pruned
    weights count as zeros.
    """
    return Wasserstein(initial, strength)
