"""Hidden units that are drawn anew: what the methods on units share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from plasticity.interventions.method import Step
    from plasticity.models.network import Network
    from plasticity.models.units import UnitLayer


def drawn_anew(network: Network, layers: Sequence[UnitLayer]) -> dict[str, Tensor]:
    """The rows of `layers`, by name, from the initial distribution of `network`, on its device.

    Normalisation as a new network has it. Draws from torch's global generator.
    """
    import torch

    # From a generator of its own: some networks are built anew, which leaves the global one as it
    # was, so that each time would bring the same draws.
    seed = int(torch.randint(2**62, ()))
    fresh = network.fresh(torch.Generator().manual_seed(seed)).requires_grad_(False)
    state = {**dict(fresh.named_parameters()), **dict(fresh.named_buffers())}
    return {
        name: torch.empty_like(row).copy_(state[name])
        for layer in layers
        for name, row in layer.rows()
    }


def renew(
    at: Step, layers: Sequence[UnitLayer], chosen: Sequence[Tensor], fresh: Mapping[str, Tensor]
) -> None:
    """Give chosen units of `layers` their rows of `fresh`, as of `drawn_anew`, and zero columns.

    `chosen` says of each unit of each layer whether it is, bool [units]. What the optimiser
    remembers of all these weights is zero; its counts of steps go on. Where the row of a chosen
    unit reads another one it has zeros. All of it is made of operations on the device, whatever the
    values are, so that it can be recorded.
    """
    import torch

    pairs = list(zip(layers, chosen, strict=True))
    for layer, units in pairs:
        for name, row in layer.rows():
            where = _beside(units, row)
            row.copy_(torch.where(where, fresh[name], row))
            for slot in at.moments(row):
                slot.masked_fill_(where, 0)
    for layer, units in pairs:
        weight = layer.outgoing_weight
        for entries in (weight, *at.moments(weight)):
            columns = layer.columns(entries)
            columns.masked_fill_(_beside(units, columns), 0)


def _beside(units: Tensor, entries: Tensor) -> Tensor:
    """`units`, [units], in a shape that goes with `entries`, [units, ..]."""
    return units.view(-1, *[1] * (entries.ndim - 1))
