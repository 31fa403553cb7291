"""The weights that pruning left, with other signs or magnitudes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plasticity.interventions.tickets import ticket_start
from plasticity.runs import Word, starts

if TYPE_CHECKING:
    import torch

    from plasticity.interventions.perturbations import Ticket
    from plasticity.models.network import Network

SOURCE = Word(("k", "init", "fresh"))
"""Where signs or magnitudes come from: the state rewound to, the initialisation, a new draw."""


def _check(*, signs: str, magnitudes: str, **pruning: float) -> None:
    if signs == magnitudes == "k":
        plain = starts.term("ticket", pruning)
        raise ValueError(f"signs: k and magnitudes: k are the plain ticket, which is spelt {plain}")


@ticket_start(
    "-signs-{signs}-magnitudes-{magnitudes}", check=_check, signs=SOURCE, magnitudes=SOURCE
)
def mixed(
    network: Network, generator: torch.Generator, ticket: Ticket, *, signs: str, magnitudes: str
) -> Mapping[str, torch.Tensor]:
    """The weights that pruning left, with signs from one source and magnitudes from another.

    Where both are fresh they are of one draw: the ticket initialised anew, the usual control.
    """
    from plasticity.interventions import perturbations
    from plasticity.models import masks

    sources = {"k": masks.prunable(network), "init": ticket.initial}
    if "fresh" in (signs, magnitudes):
        sources["fresh"] = masks.prunable(network.fresh(generator))
    masks.assign(network, perturbations.mixed(sources[signs], sources[magnitudes]), ticket.mask)
    return ticket.mask
