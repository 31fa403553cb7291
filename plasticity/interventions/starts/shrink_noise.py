"""Shrink and perturb, by Gaussian noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import Number, starts

if TYPE_CHECKING:
    import torch

    from plasticity.models.network import Network


@starts.member(
    "shrink{factor}-noise{std}",
    factor=Number(at_least=0, at_most=1),
    std=Number(at_least=0, at_most=1000),
)
def shrink_noise(
    network: Network, generator: torch.Generator, *, factor: float, std: float
) -> None:
    """Shrink and perturb: `factor` times each layer's weights plus Gaussian noise of `std`.

    The formula of Ash and Adams 2020 ("Shrink, Perturb, Repeat") as the comparison of Shin et al.
    2024 (DASH) has it, with 0.3 and 0.01: weights and biases of convolutions, linear layers and
    attention. As in their public code neither the parameters of normalisation nor running
    statistics are touched.
    """
    import torch

    from plasticity.interventions.layers import layers

    for layer in layers(network):
        for parameter in layer.parameters:
            # Drawn aside, in the order of the indices, whatever the order in memory.
            noise = torch.empty(parameter.shape).normal_(generator=generator)
            parameter.mul_(factor).add_(noise, alpha=std)
