"""The gradient at the worst weights nearby."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.interventions.method import Method, Pass
from plasticity.runs import MethodFacts, Number, methods

if TYPE_CHECKING:
    from plasticity.models.network import Network

EPSILON = 1e-12
"""Added to the norm that is divided by, as in public code."""


class Sam(Method):
    """See `sam`."""

    def __init__(self, radius: float) -> None:
        self.radius = radius

    def change_gradients(self, at: Pass) -> None:
        """Put the gradients at theta + radius g / |g| in the place of g; theta stays."""
        from torch.nn.utils import get_total_norm

        pairs = [(one, one.grad) for one in at.network.parameters() if one.grad is not None]
        scale = self.radius / (get_total_norm([gradient for _, gradient in pairs]) + EPSILON)
        before = [weight.clone() for weight, _ in pairs]
        for weight, gradient in pairs:
            weight.add_(gradient * scale)
        at.again()
        for (weight, _), value in zip(pairs, before, strict=True):
            weight.copy_(value)


@methods.member("sam{radius}", facts=MethodFacts(acts="gradient", passes=1), radius=Number(above=0))
def sam(network: Network, initial: Network, *, radius: float) -> Method:
    """Steps by the gradient at theta + `radius` g / |g|, g being that at theta.

    Foret et al. 2021 (*Sharpness-Aware Minimization*), section 2, p = 2. Published settings: 0.05
    (theirs), 0.1 (DASH). One norm over all parameters, on the whole batch. Terms that methods add
    to the loss are part of both gradients, weight decay of the rule of neither. Running statistics,
    training loss and accuracy are those of the first pass.
    """
    return Sam(radius)
