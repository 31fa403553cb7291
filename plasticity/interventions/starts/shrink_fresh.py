"""Shrink and perturb, by another draw from the initial distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import Number, starts

if TYPE_CHECKING:
    import torch

    from plasticity.models.network import Network


@starts.member(
    "shrink{factor}-fresh{scale}",
    factor=Number(at_least=0, at_most=1),
    scale=Number(at_least=0, at_most=1000),
)
def shrink_fresh(
    network: Network, generator: torch.Generator, *, factor: float, scale: float
) -> None:
    """Shrink and perturb: `factor` times every parameter plus `scale` times that of a new draw.

    As in the public code of Ash and Adams 2020 ("Shrink, Perturb, Repeat"), whose setting is 0.4
    and 0.1. All parameters take part, biases and those of normalisation too; buffers, such as
    running statistics, are those of the new draw. The formula of the paper has Gaussian noise in
    place of the draw: `shrink_noise`.
    """
    fresh = network.fresh(generator)
    for parameter, drawn in zip(network.parameters(), fresh.parameters(), strict=True):
        parameter.mul_(factor).add_(drawn, alpha=scale)
    for buffer, anew in zip(network.buffers(), fresh.buffers(), strict=True):
        buffer.copy_(anew)
