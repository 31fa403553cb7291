"""An average over the steps, which is evaluated."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from plasticity.interventions.averages import move
from plasticity.interventions.method import Method, Pass
from plasticity.runs import MethodFacts, Number, methods

if TYPE_CHECKING:
    from torch import nn

    from plasticity.models.network import Network


class Ema(Method):
    """See `ema`. `power` is the decay to the power of the steps, float64 []."""

    def __init__(self, network: Network, decay: float) -> None:
        import torch

        self.decay = decay
        self.average = deepcopy(network).requires_grad_(False)
        device = next(network.parameters()).device
        self.power = torch.ones((), dtype=torch.float64, device=device)

    def change_weights(self, at: Pass) -> None:
        """The average takes in the weights after this step."""
        self.power *= self.decay
        # What m / (1 - power) moves by where m becomes decay m + (1 - decay) w.
        move(self.average, to=at.network, by=(1 - self.decay) / (1 - self.power))

    def evaluated(self) -> nn.Module:
        """The average."""
        return self.average


@methods.member("ema{decay}", facts=MethodFacts(acts="second"), decay=Number(above=0, below=1))
def ema(network: Network, initial: Network, *, decay: float) -> Method:
    """An exponential average of the weights is evaluated, and what later stages start from.

    Polyak and Juditsky 1992, with exponential weights. Training is as without it. The average is
    sum_s `decay`^(t - s) w_s over the steps s = 1 .. t, divided by the sum of these factors, as
    Adam corrects its means (Kingma and Ba 2015, section 3): the weights that the stage begins with
    have no part in it, of which an average that begins there keeps a fifth after 1,600 steps at
    0.999. Running statistics are averaged in the same way.
    """
    return Ema(network, decay)
