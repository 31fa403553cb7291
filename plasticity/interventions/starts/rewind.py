"""The mask of the stage before, on the initial weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plasticity.runs import StartFacts, starts

if TYPE_CHECKING:
    import torch

    from plasticity.interventions.perturbations import Ticket
    from plasticity.models.network import Network


@starts.member("rewind", facts=StartFacts(rewinds=True))
def rewind(
    network: Network, generator: torch.Generator, ticket: Ticket
) -> Mapping[str, torch.Tensor]:
    """The sub-network that the stage before trained, all of it as it was initialised."""
    from plasticity.models import masks

    network.load_state_dict(ticket.network)
    masks.assign(network, masks.prunable(network), ticket.mask)
    return ticket.mask
