"""Which transforms of the data go together, and in which order they are spelt and applied."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from plasticity.runs import vocabulary
from plasticity.runs.facts import TransformFacts
from plasticity.runs.registry import Term


def combination(terms: Iterable[Term[TransformFacts]]) -> tuple[Term[TransformFacts], ...]:
    """The transforms `terms` in their one order, which is that of their declaration.

    Raises `ValueError` where two are of one member, or more than one gives the examples labels.
    """
    declared = list(vocabulary.transforms.members)
    ordered = tuple(sorted(terms, key=lambda term: declared.index(term.member.name)))
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
