"""Which transforms of the data go together, and in which order they are spelt and applied."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import get_args

from plasticity.runs.facts import Changes, TransformFacts
from plasticity.runs.registry import Term


def combination(terms: Iterable[Term[TransformFacts]]) -> tuple[Term[TransformFacts], ...]:
    """The transforms `terms` in their one order.

    Raises `ValueError` where two are of one member, or more than one gives the examples labels.
    """
    ordered = tuple(sorted(terms, key=_place))
    for first, second in pairwise(ordered):
        if first.member is second.member:
            raise ValueError(
                f"the transforms '{first}' and '{second}' are of one kind: take one of them"
            )
    labelling = [term for term in ordered if term.facts.relabels]
    if len(labelling) > 1:
        first, second = labelling[:2]
        raise ValueError(
            f"the transforms '{first}' and '{second}' both give the examples labels: take one of "
            "them"
        )
    return ordered


def _place(term: Term[TransformFacts]) -> tuple[int, bool, str]:
    """What is done first: by what is changed, labels of its own before others, then by name."""
    facts = term.facts
    return get_args(Changes).index(facts.changes), facts.classes is None, term.member.name
