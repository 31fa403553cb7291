"""A new network."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import StartFacts, starts

if TYPE_CHECKING:
    import torch

    from plasticity.models.network import Network


@starts.member("init", facts=StartFacts(inherits=False))
def init(network: Network, generator: torch.Generator) -> None:
    """A new network: no stage comes before, and nothing is changed."""
