"""Weights that shrink and are perturbed a little in every step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.interventions.method import Method, Pass
from plasticity.runs import MethodFacts, Number, methods

if TYPE_CHECKING:
    from plasticity.models.network import Network


class ShrinkPerturb(Method):
    """See `shrinkperturb`."""

    def __init__(self, network: Network, shrink: float, std: float) -> None:
        self.kept = 1 - shrink
        self.std = std
        self.weights = [one for one in network.parameters() if one.requires_grad]

    def change_weights(self, at: Pass) -> None:
        """``kept w + std N(0, 1)``, for each weight."""
        import torch

        for weight in self.weights:
            weight.mul_(self.kept).add_(torch.randn_like(weight), alpha=self.std)


def _does_something(*, shrink: float, std: float) -> None:
    if shrink == std == 0:
        raise ValueError("expected one of the two above 0: nothing shrinks and nothing is added")


@methods.member(
    "shrinkperturb{shrink}x{std}",
    facts=MethodFacts(acts="weights"),
    check=_does_something,
    shrink=Number(at_least=0, below=1),
    std=Number(at_least=0),
)
def shrinkperturb(network: Network, initial: Network, *, shrink: float, std: float) -> Method:
    """After each step w becomes (1 - `shrink`) w + `std` N(0, 1), whatever the learning rate.

    Dohare et al. 2024 (*Loss of plasticity in deep continual learning*): std 0.00001 for CIFAR-100.
    Over all parameters that are trained, biases and normalisation included, as in their public
    code. There weight decay is what shrinks, in the gradient and hence by the rate: 0.0005 at the
    rate 0.1 and the momentum 0.9 comes to a shrink of 0.0005 here, to 0.00005 without momentum.
    """
    return ShrinkPerturb(network, shrink, std)
