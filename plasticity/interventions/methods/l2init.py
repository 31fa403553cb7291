"""A pull towards the initial weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.interventions.method import Method, Pass
from plasticity.runs import MethodFacts, Number, methods

if TYPE_CHECKING:
    from torch import Tensor

    from plasticity.models.network import Network


class L2Init(Method):
    """See `l2init`."""

    def __init__(self, initial: Network, strength: float) -> None:
        self.strength = strength
        self.initial = [parameter.detach().clone() for parameter in initial.parameters()]

    def loss(self, at: Pass) -> Tensor:
        """``strength |theta - theta0|^2``."""
        import torch

        pairs = zip(at.network.parameters(), self.initial, strict=True)
        return (
            self.strength * torch.stack([(now - then).square().sum() for now, then in pairs]).sum()
        )


@methods.member("l2init{strength}", facts=MethodFacts(acts="loss"), strength=Number(above=0))
def l2init(network: Network, initial: Network, *, strength: float) -> Method:
    """The loss plus `strength` |theta - theta0|^2, theta0 as the run was initialised.

    Kumar et al. 2023 (L2 Init), section 3. Over all parameters, without a factor of 1/2, through
    whatever rule. Published settings: 0.01 (DASH), 0.001 (FIRE). Two public implementations differ
    by mistake: one squares the sum of the norms, another keeps the last tensor alone.
    """
    return L2Init(initial, strength)
