"""How a start is declared that trains a pruned sub-network: what all tickets take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plasticity.runs import Integer, Number, StartFacts, starts
from plasticity.runs.values import ValueKind

LEVEL = Integer(at_least=1, at_most=100)
FRACTION = Number(above=0, below=1, default=0.2)
"""Of the survivors, how many a level removes. 0.2 as in the public code of Frankle et al."""


def ticket_start(
    perturbation: str = "", *, check: Callable[..., None] | None = None, **kinds: ValueKind
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Declare the decorated function as a ticket: ``ticket{level}<perturbation>[-p{fraction}]``.

    It is given a `plasticity.interventions.perturbations.Ticket` after the network and the
    generator, and the options that `perturbation` names; their `kinds` are given by name. It
    returns the masks to train with, bool by name, and leaves zeros where weights are pruned;
    training keeps them there. Biases and normalisation stay as the stage before left them.
    """
    return starts.member(
        f"ticket{{level}}{perturbation}[-p{{fraction}}]",
        facts=StartFacts(inherits=None, prunes=True),
        short_for=None,
        check=check,
        silent={"level": LEVEL, "fraction": FRACTION},
        **kinds,
    )
