"""The weights that pruning left, permuted among those of one sign."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plasticity.interventions.starts.shuffled import SCOPE, permuted
from plasticity.interventions.tickets import ticket_start

if TYPE_CHECKING:
    import torch

    from plasticity.interventions.perturbations import Scope, Ticket
    from plasticity.models.network import Network


@ticket_start("-signshuffle-{scope}", scope=SCOPE)
def signshuffled(
    network: Network, generator: torch.Generator, ticket: Ticket, *, scope: Scope
) -> Mapping[str, torch.Tensor]:
    """The survivors' values permuted among those of one sign: each keeps its sign."""
    return permuted(network, generator, ticket, scope, same_sign=True)
