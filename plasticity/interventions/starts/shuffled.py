"""The weights that pruning left, permuted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plasticity.interventions.tickets import ticket_start
from plasticity.runs import Word

if TYPE_CHECKING:
    import torch

    from plasticity.interventions.perturbations import Scope, Ticket
    from plasticity.models.network import Network

SCOPE = Word(("global", "layer", "filter"))


@ticket_start("-shuffle-{scope}", scope=SCOPE)
def shuffled(
    network: Network, generator: torch.Generator, ticket: Ticket, *, scope: Scope
) -> Mapping[str, torch.Tensor]:
    """The survivors' values permuted: among all, within each layer, or each output channel."""
    return permuted(network, generator, ticket, scope, same_sign=False)


def permuted(
    network: Network, generator: torch.Generator, ticket: Ticket, scope: Scope, *, same_sign: bool
) -> Mapping[str, torch.Tensor]:
    """The same, or with `same_sign` among survivors of one sign alone."""
    from plasticity.interventions import perturbations
    from plasticity.models import masks

    weights = masks.prunable(network)
    changed = perturbations.shuffled(weights, ticket.mask, scope, same_sign, generator)
    masks.assign(network, changed, ticket.mask)
    return ticket.mask
