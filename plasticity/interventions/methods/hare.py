"""A fast network that starts again from its slow average now and then."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from plasticity.interventions.averages import move
from plasticity.interventions.method import Method, Pass, Step
from plasticity.runs import Integer, MethodFacts, Number, methods

if TYPE_CHECKING:
    from torch import nn

    from plasticity.models.network import Network


class Hare(Method):
    """See `hare`."""

    def __init__(self, network: Network, decay: float) -> None:
        self.rate = 1 - decay
        self.tortoise = deepcopy(network).requires_grad_(False)

    def change_weights(self, at: Pass) -> None:
        """The tortoise follows."""
        move(self.tortoise, to=at.network, by=self.rate)

    def event(self, at: Step) -> None:
        """The hare is where the tortoise is."""
        move(at.network, to=self.tortoise, by=1.0)

    def evaluated(self) -> nn.Module:
        """The tortoise."""
        return self.tortoise


@methods.member(
    "hare{decay}every{epochs}",
    facts=MethodFacts(acts="second", every=lambda *, decay, epochs: (epochs, "epochs")),
    decay=Number(above=0, below=1),
    epochs=Integer(at_least=1),
)
def hare(network: Network, initial: Network, *, decay: float, epochs: int) -> Method:
    """A tortoise averages the hare, the network; the hare starts from it again every `epochs`.

    Lee et al. 2024 (*Slow and Steady Wins the Race: Maintaining Plasticity with Hare and Tortoise
    Networks*), decay 0.999, 10 epochs. After each step the tortoise, which begins as the hare
    does, becomes `decay` tortoise + (1 - `decay`) hare. It is evaluated, and what later stages
    start from. Parameters and running statistics, both times; the optimiser keeps its state, as in
    the public code. In that the hare starts again after the first epoch, the eleventh and so on,
    here after the tenth, the twentieth and so on; and, as it shares its memory for a step then, the
    tortoise takes this step over whole, which is not done here.
    """
    return Hare(network, decay)
