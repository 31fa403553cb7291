"""The weights that pruning left, with noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plasticity.interventions.tickets import ticket_start
from plasticity.runs import Number

if TYPE_CHECKING:
    import torch

    from plasticity.interventions.perturbations import Ticket
    from plasticity.models.network import Network


@ticket_start("-noise{std}", std=Number(above=0))
def noisy(
    network: Network, generator: torch.Generator, ticket: Ticket, *, std: float
) -> Mapping[str, torch.Tensor]:
    """Gaussian noise on the survivors, in standard deviations of their layer at initialisation."""
    from plasticity.interventions import perturbations
    from plasticity.models import masks

    weights, initial = masks.prunable(network), perturbations.stds(ticket.initial)
    changed = perturbations.noisy(weights, ticket.mask, initial, std, generator)
    masks.assign(network, changed, ticket.mask)
    return ticket.mask
