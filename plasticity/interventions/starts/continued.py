"""Goes on with the weights of the stage before, and with the state of its optimiser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import StartFacts, starts

if TYPE_CHECKING:
    import torch

    from plasticity.models.network import Network


@starts.member("continue", facts=StartFacts(keeps_optimiser=True))
def continued(network: Network, generator: torch.Generator) -> None:
    """Every weight, and what the optimiser remembers, as the stage before left it.

    The same rule must train both stages, at whatever rate, with whatever batches; its schedule is
    that of this stage. With `keep` the optimiser begins anew.
    """
