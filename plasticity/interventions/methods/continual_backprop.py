"""The least useful units replaced all the time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from plasticity.interventions.method import Method, Pass, Step
from plasticity.interventions.units import drawn_anew, renew
from plasticity.runs import Integer, MethodFacts, Number, methods

if TYPE_CHECKING:
    from torch import Tensor, nn

    from plasticity.models.network import Network
    from plasticity.models.units import UnitLayer


class ContinualBackprop(Method):
    """See `continual_backprop`."""

    def __init__(
        self,
        network: Network,
        layers: Sequence[UnitLayer],
        rate: float,
        maturity: int,
        decay: float,
    ) -> None:
        import torch

        # A function is no part of what is remembered: it comes of the network each time.
        self.layers: Callable[[], Sequence[UnitLayer]] = lambda: layers
        self.rate = rate
        self.maturity = maturity
        self.decay = decay
        device = layers[0].outgoing_weight.device
        self.fresh = drawn_anew(network, layers)
        self.utility = [torch.zeros(layer.units, device=device) for layer in layers]
        self.age = [torch.zeros(layer.units, device=device) for layer in layers]
        self.due = [torch.zeros((), device=device) for _ in layers]

    def watched(self) -> Mapping[str, nn.Module]:
        """The readers of units."""
        return {layer.outgoing: layer.reader for layer in self.layers()}

    def change_weights(self, at: Pass) -> None:
        """Replace the units that are due."""
        layers = self.layers()
        chosen = []
        for number, layer in enumerate(layers):
            given = at.activations[layer.outgoing].input
            chosen.append(self._replaced(number, contribution(layer, given, len(at.labels))))
        renew(at, layers, chosen, self.fresh)

    def _replaced(self, number: int, contribution: Tensor) -> Tensor:
        """Which units of layer `number` are replaced in this step, bool [units]."""
        import torch

        utility, age, due = self.utility[number], self.age[number], self.due[number]
        age += 1
        utility.lerp_(contribution, 1 - self.decay)
        corrected = utility / -torch.expm1(age * math.log(self.decay))
        mature = age > self.maturity
        due += self.rate * mature.sum()
        rank = corrected.masked_fill(~mature, torch.inf).argsort(stable=True).argsort()
        replaced = mature & (rank < due.floor())
        due -= replaced.sum()
        utility.masked_fill_(replaced, 0)
        age.masked_fill_(replaced, 0)
        return replaced

    def event(self, at: Step) -> None:
        """Draw what the next units are replaced with."""
        for name, value in drawn_anew(at.network, self.layers()).items():
            self.fresh[name].copy_(value)


def contribution(layer: UnitLayer, given: Tensor, images: int) -> Tensor:
    """The mean of |a| times the sum of |outgoing weights| of each unit, [units].

    `given` are the activations of a batch of so many `images`, the input to what reads them. A unit
    of several columns has the sum over these.
    """
    weights = layer.columns(layer.outgoing_weight).abs()
    outgoing = weights.sum((1, *range(4, weights.ndim)))
    return (layer.magnitudes(given, images) * outgoing).sum((1, 2))


@methods.member(
    "cbp{rate}[-mature{maturity}][-decay{decay}]",
    facts=MethodFacts(acts="units", every=lambda *, rate, maturity, decay: (maturity, "steps")),
    rate=Number(above=0, at_most=1),
    maturity=Integer(at_least=1, default=1000),
    decay=Number(above=0, below=1, default=0.99),
)
def continual_backprop(
    network: Network, initial: Network, *, rate: float, maturity: int, decay: float
) -> Method:
    """After each step, the least useful of the units that are old enough are drawn anew.

    Dohare et al. 2024 (continual backpropagation), algorithm 1: the utility of a unit is the
    running average (`decay`) of |activation| times the sum of |outgoing weights|. Of the n units of
    a layer older than `maturity` steps, `rate` n are due each step; fractions add up until one is.
    Its incoming weights and bias are drawn from the initial distribution, its normalisation begins
    anew, and outgoing weights, age, utility and what the optimiser remembers of these weights are
    zero. |activation| is a mean over the batch and positions; the average is corrected for its
    beginning at zero, as in the public code. Which units a network has: `plasticity.models.units`.
    Draws are made every `maturity` steps, for all units, so that none has the same one twice.

    Published settings: 0.00001 for a ResNet; 0.0001, with maturity 100 to 10,000, elsewhere. The
    public code takes the mean of |outgoing weights|, which ranks alike; adds what a fully connected
    unit gave on average to the biases behind it; draws at random whether a unit is replaced, unless
    told to add up; and has biases begin at zero. Its Adam counts steps by weight, from 0 again for
    a new unit; here counts go on, so that the first steps from moments of zero are not corrected
    and up to three times as long. In a ResNet it replaces channels of the residual stream as well,
    of whose readers it knows one; does not let the average forget; and leaves momentum as it was.
    """
    from plasticity.models.units import unit_layers

    return ContinualBackprop(network, unit_layers(network), rate, maturity, decay)
