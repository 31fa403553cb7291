"""Which transforms of the data go together, how they are ordered in a path, and when applied."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import get_args

from plasticity.runs.facts import Acts, Changes, TransformFacts
from plasticity.runs.registry import Term


def combination(terms: Iterable[Term[TransformFacts]]) -> tuple[Term[TransformFacts], ...]:
    """The transforms `terms` in the one order in which a path spells them.

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


def applied(terms: Iterable[Term[TransformFacts]]) -> tuple[Term[TransformFacts], ...]:
    """The transforms `terms` in the order in which they are applied, however they are spelt.

    Images before labels before batches; among these what moves pixels before what changes them; and
    last what reads its labels off the image, as whatever came after it, such as a flip after a
    rotation, would give one image two labels. What is left is by name.
    """

    def place(term: Term[TransformFacts]) -> tuple[int, bool, int, str]:
        facts = term.facts
        acts = get_args(Acts).index(facts.acts)
        return _when(facts), facts.classes is not None, acts, term.member.name

    return tuple(sorted(terms, key=place))


def _place(term: Term[TransformFacts]) -> tuple[int, bool, str]:
    """By what is changed, labels of its own before others, then by name."""
    return _when(term.facts), term.facts.classes is None, term.member.name


def _when(facts: TransformFacts) -> int:
    return get_args(Changes).index(facts.changes)
