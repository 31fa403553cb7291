"""The weights that pruning left, as the stage before left them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plasticity.interventions.tickets import ticket_start

if TYPE_CHECKING:
    import torch

    from plasticity.interventions.perturbations import Ticket
    from plasticity.models.network import Network


@ticket_start()
def ticket(
    network: Network, generator: torch.Generator, ticket: Ticket
) -> Mapping[str, torch.Tensor]:
    """The survivors as the stage before left them: pruning with rewinding (Frankle et al. 2020)."""
    from plasticity.models import masks

    masks.assign(network, masks.prunable(network), ticket.mask)
    return ticket.mask
