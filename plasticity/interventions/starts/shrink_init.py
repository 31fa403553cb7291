"""Shrink and perturb, back towards the initialisation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import Number, StartFacts, starts

if TYPE_CHECKING:
    import torch

    from plasticity.models.network import Network


@starts.member(
    "shrink{factor}-init",
    facts=StartFacts(initial=True),
    factor=Number(at_least=0, at_most=1),
)
def shrink_init(
    network: Network, generator: torch.Generator, initial: Network, *, factor: float
) -> None:
    """Shrink and perturb: `factor` of every parameter, the rest from the run's initialisation.

    As the comparisons of Lee et al. 2024 (Hare and Tortoise) and Han et al. 2026 (FIRE) have it,
    and their public code, which writes 1 - `factor`: 0.8 in FIRE, so 0.2 here. All parameters take
    part, biases and those of normalisation too; running statistics are not touched.
    """
    for parameter, first in zip(network.parameters(), initial.parameters(), strict=True):
        parameter.mul_(factor).add_(first, alpha=1 - factor)
