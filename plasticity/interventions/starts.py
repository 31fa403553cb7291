"""Starts: what happens to the weights between the stage before and this one.

To add one, declare a function that changes the network in place. It is given the network with the
weights that the stage before ended with, and a generator of its own; ``network.fresh(generator)``
draws another network from the initial distribution. What it tells of itself is in
`plasticity.runs.facts.StartFacts`. Where the stage trains a sub-network, the function is given a
`perturbations.Ticket` besides and returns the masks to train with, bool by name. It leaves zeros
where weights are pruned, and training keeps them there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from plasticity.runs import Ascending, Integer, Number, StartFacts, Word, starts

if TYPE_CHECKING:
    import torch

    from plasticity.interventions.perturbations import Scope, Ticket
    from plasticity.models.network import Network

LEVEL = Integer(at_least=1, at_most=100)
SHARE = Number(above=0, below=1, default=0.2)
"""Of the survivors, how many a level removes. 0.2 as in the public code of Frankle et al."""

SOURCE = Word(("k", "init", "fresh"))
"""Where signs or magnitudes come from: the state rewound to, the initialisation, a new draw."""

SCOPE = Word(("global", "layer", "filter"))


@starts.member("init", facts=StartFacts(inherits=False))
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


@starts.member(
    "ticket{level}[-p{share}]",
    facts=StartFacts(inherits=None, prunes=True),
    level=LEVEL,
    share=SHARE,
)
def ticket(
    network: Network, generator: torch.Generator, ticket: Ticket, *, level: int, share: float
) -> Mapping[str, torch.Tensor]:
    """The survivors as the stage before left them: pruning with rewinding (Frankle et al. 2020).

    In this and all other tickets biases and normalisation stay as the stage before left them.
    """
    from plasticity.models import masks

    masks.assign(network, masks.prunable(network), ticket.mask)
    return ticket.mask


def _check_mixed(*, level: int, signs: str, magnitudes: str, share: float) -> None:
    if signs == magnitudes == "k":
        plain = starts.term("ticket", {"level": level, "share": share})
        raise ValueError(f"signs: k and magnitudes: k are the plain ticket, which is spelt {plain}")


@starts.member(
    "ticket{level}-signs-{signs}-magnitudes-{magnitudes}[-p{share}]",
    facts=StartFacts(inherits=None, prunes=True),
    check=_check_mixed,
    level=LEVEL,
    signs=SOURCE,
    magnitudes=SOURCE,
    share=SHARE,
)
def mixed(
    network: Network,
    generator: torch.Generator,
    ticket: Ticket,
    *,
    level: int,
    signs: str,
    magnitudes: str,
    share: float,
) -> Mapping[str, torch.Tensor]:
    """The survivors with signs from one source and magnitudes from another.

    Where both are fresh they are of one draw: the ticket initialised anew, the usual control.
    """
    from plasticity.interventions import perturbations
    from plasticity.models import masks

    sources = {"k": masks.prunable(network), "init": ticket.initial}
    if "fresh" in (signs, magnitudes):
        sources["fresh"] = masks.prunable(network.fresh(generator))
    masks.assign(network, perturbations.mixed(sources[signs], sources[magnitudes]), ticket.mask)
    return ticket.mask


@starts.member(
    "ticket{level}-shuffle-{scope}[-p{share}]",
    facts=StartFacts(inherits=None, prunes=True),
    level=LEVEL,
    scope=SCOPE,
    share=SHARE,
)
def shuffled(
    network: Network,
    generator: torch.Generator,
    ticket: Ticket,
    *,
    level: int,
    scope: Scope,
    share: float,
) -> Mapping[str, torch.Tensor]:
    """The survivors' values permuted: among all, within each layer, or each output channel."""
    return _permuted(network, generator, ticket, scope, same_sign=False)


@starts.member(
    "ticket{level}-signshuffle-{scope}[-p{share}]",
    facts=StartFacts(inherits=None, prunes=True),
    level=LEVEL,
    scope=SCOPE,
    share=SHARE,
)
def signshuffled(
    network: Network,
    generator: torch.Generator,
    ticket: Ticket,
    *,
    level: int,
    scope: Scope,
    share: float,
) -> Mapping[str, torch.Tensor]:
    """The same among survivors of one sign: each keeps its sign."""
    return _permuted(network, generator, ticket, scope, same_sign=True)


def _permuted(
    network: Network, generator: torch.Generator, ticket: Ticket, scope: Scope, *, same_sign: bool
) -> Mapping[str, torch.Tensor]:
    from plasticity.interventions import perturbations
    from plasticity.models import masks

    weights = masks.prunable(network)
    changed = perturbations.shuffled(weights, ticket.mask, scope, same_sign, generator)
    masks.assign(network, changed, ticket.mask)
    return ticket.mask


@starts.member(
    "ticket{level}-noise{deviations}[-p{share}]",
    facts=StartFacts(inherits=None, prunes=True),
    level=LEVEL,
    deviations=Number(above=0),
    share=SHARE,
)
def noisy(
    network: Network,
    generator: torch.Generator,
    ticket: Ticket,
    *,
    level: int,
    deviations: float,
    share: float,
) -> Mapping[str, torch.Tensor]:
    """Gaussian noise on the survivors, in standard deviations of their layer at initialisation."""
    from plasticity.interventions import perturbations
    from plasticity.models import masks

    weights, initial = masks.prunable(network), perturbations.stds(ticket.initial)
    changed = perturbations.noisy(weights, ticket.mask, initial, deviations, generator)
    masks.assign(network, changed, ticket.mask)
    return ticket.mask


@starts.member(
    "ticket{level}-random[-p{share}]",
    facts=StartFacts(inherits=None, prunes=True),
    level=LEVEL,
    share=SHARE,
)
def random(
    network: Network, generator: torch.Generator, ticket: Ticket, *, level: int, share: float
) -> Mapping[str, torch.Tensor]:
    """Survivors drawn at random, as many in each layer as magnitude pruning has at this level."""
    from plasticity.models import masks

    kept = masks.permuted(ticket.mask, generator)
    masks.assign(network, masks.prunable(network), kept)
    return kept


@starts.member("rewind", facts=StartFacts(rewinds=True))
def rewind(
    network: Network, generator: torch.Generator, ticket: Ticket
) -> Mapping[str, torch.Tensor]:
    """The sub-network that the stage before trained, all of it as it was initialised."""
    from plasticity.models import masks

    network.load_state_dict(ticket.network)
    masks.assign(network, masks.prunable(network), ticket.mask)
    return ticket.mask
