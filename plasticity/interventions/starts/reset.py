"""Some modules drawn anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.runs import Ascending, starts

if TYPE_CHECKING:
    import torch

    from plasticity.models.network import Network


@starts.member("reset{modules}", modules=Ascending(at_least=1))
def reset(network: Network, generator: torch.Generator, *, modules: tuple[int, ...]) -> None:
    """The modules with these numbers are drawn anew (Berariu et al., figure 6).

    Parameters and normalisation statistics both. A module gets the same draw whichever others are
    reset with it, so that two subsets differ by their modules alone.
    """
    state, fresh = network.state_dict(), network.fresh(generator).state_dict()
    for number in modules:
        for name in network.numbered_module(number).entries:
            state[name].copy_(fresh[name])
