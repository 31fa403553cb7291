"""Layers scaled back to the size that they had at first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import StartFacts, starts

if TYPE_CHECKING:
    import torch

    from plasticity.models.network import Network


@starts.member("rescale", facts=StartFacts(initial=True))
def rescale(network: Network, generator: torch.Generator, initial: Network) -> None:
    """Each layer's weight scaled back to the Frobenius norm that it had at initialisation.

    The projection of Lyle et al. 2024 ("Normalization and effective learning rates"; recalled, not
    checked), made once: convolutions, linear layers and attention. Biases, normalisation and
    running statistics are not touched. A weight that is zero stays so.
    """
    from torch.linalg import vector_norm

    from plasticity.interventions.layers import layers

    for layer, first in zip(layers(network), layers(initial), strict=True):
        norm = float(vector_norm(layer.weight.double()))
        if norm > 0:
            layer.weight.mul_(float(vector_norm(first.weight.double())) / norm)
