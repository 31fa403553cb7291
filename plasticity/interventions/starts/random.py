"""As many weights as pruning leaves, drawn at random."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plasticity.interventions.tickets import ticket_start

if TYPE_CHECKING:
    import torch

    from plasticity.interventions.perturbations import Ticket
    from plasticity.models.network import Network


@ticket_start("-random")
def random(
    network: Network, generator: torch.Generator, ticket: Ticket
) -> Mapping[str, torch.Tensor]:
    """Survivors drawn at random, as many in each layer as magnitude pruning has at this level."""
    from plasticity.models import masks

    mask = masks.permuted(ticket.mask, generator)
    masks.assign(network, masks.prunable(network), mask)
    return mask
