"""Goes on with the weights of the stage before: the warm start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import starts

if TYPE_CHECKING:
    import torch

    from plasticity.models.network import Network


@starts.member("keep")
def keep(network: Network, generator: torch.Generator) -> None:
    """Every weight as the stage before left it: the warm start."""
