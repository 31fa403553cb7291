"""Weights that stay within bounds of their initial distribution."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from plasticity.interventions.method import Method, Pass
from plasticity.runs import MethodFacts, Number, methods

if TYPE_CHECKING:
    from plasticity.models.network import Network


class Clip(Method):
    """See `clip`. `clipped` are parameters, each with its bound."""

    def __init__(self, network: Network, initial: Network, factor: float) -> None:
        from plasticity.interventions.layers import layers

        self.clipped = []
        for layer, then in zip(layers(network), layers(initial), strict=True):
            drawn = float(then.weight.detach().abs().max())
            bound = factor * max(1 / math.sqrt(layer.weight[0].numel()), drawn)
            self.clipped += [(one, bound) for one in layer.parameters if one.requires_grad]

    def change_weights(self, at: Pass) -> None:
        """Weights and biases beyond their bounds are put on these."""
        for parameter, bound in self.clipped:
            parameter.clamp_(-bound, bound)


@methods.member("clip{factor}", facts=MethodFacts(acts="weights"), factor=Number(above=0))
def clip(network: Network, initial: Network, *, factor: float) -> Method:
    """After each step weights are clipped to +- `factor` times the bound of their initial ones.

    Elsayed et al. 2024 (*Weight Clipping for Deep Continual and Reinforcement Learning*), kappa;
    their public code tries 1 to 20 on CIFAR-10. Over weights and biases of convolutions, linear
    layers and attention. The bound is 1 / sqrt(fan in), that of the uniform distribution that
    torch and this library draw both from; where a layer is drawn from another one, such as the
    normal one of vision transformers or whatever a network of one's own has, and its largest weight
    at the initialisation was larger, it is this. Normalisation, tokens and positions are left
    alone; the public code clips every vector, scales of normalisation too, by the bound of the
    weights before it. The first weights may lie outside, until the first step.
    """
    return Clip(network, initial, factor)
