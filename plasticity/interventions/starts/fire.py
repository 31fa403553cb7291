"""Frobenius-isometry reinitialisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import Integer, starts

if TYPE_CHECKING:
    import torch

    from plasticity.models.network import Network


@starts.member("fire[-n{iterations}]", iterations=Integer(at_least=1, at_most=1000, default=10))
def fire(network: Network, generator: torch.Generator, *, iterations: int) -> None:
    """FIRE: each layer's weight replaced by the nearest isometry, times sqrt(out / in).

    Han et al. 2026 (FIRE), with 10 iterations of Newton and Schulz: all k x k taps of a
    convolution, each over k^2, linear layers and attention. Biases, normalisation and running
    statistics are not touched. As in the public code, but for groups of a convolution, which are
    isometries of their own here; a variant of it changes queries and keys alone in a transformer.
    """
    from plasticity.interventions.isometries import isometric
    from plasticity.interventions.layers import layers

    for layer in layers(network):
        layer.weight.copy_(isometric(layer, iterations))
