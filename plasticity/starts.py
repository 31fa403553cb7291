"""Starts: what happens to the weights between the stage before and this one.

To add one, declare a function that changes the network in place. It is given the network with the
weights that the stage before ended with, and a generator of its own; ``network.fresh(generator)``
draws another network from the initial distribution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.spec import Ascending, starts

if TYPE_CHECKING:
    import torch

    from plasticity.models.network import Network


@starts.member("init", facts={"inherits": False})
def init(network: Network, generator: torch.Generator) -> None:
    """A new network: no stage comes before, and nothing is changed."""


@starts.member("keep")
def keep(network: Network, generator: torch.Generator) -> None:
    """Every weight as the stage before left it: the warm start."""


@starts.member("reset{modules}", modules=Ascending(at_least=1))
def reset(network: Network, generator: torch.Generator, *, modules: tuple[int, ...]) -> None:
    """The modules with these numbers are drawn anew (Berariu et al., figure 6).

    Parameters and normalisation statistics both. A module gets the same draw whichever others are
    reset with it, so that two subsets differ by their modules alone.
    """
    fresh = network.fresh(generator)
    for number in modules:
        network.module(number).load_state_dict(fresh.module(number).state_dict())
