"""Which transforms of the data, and which methods, go together, and in which order."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import get_args

from plasticity.runs.facts import Acts, Changes, MethodFacts, Part, TransformFacts
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


def methods_in_order(terms: Iterable[Term[MethodFacts]]) -> tuple[Term[MethodFacts], ...]:
    """The methods `terms` in the one order in which a path spells them and they take their turns.

    By what they act on, then by name. Raises `ValueError` where two are of one member, where more
    than one makes passes of its own, as each would undo what the other is at, and where more than
    one has a second network.
    """
    parts = get_args(Part)
    ordered = tuple(sorted(terms, key=lambda one: (parts.index(one.facts.acts), one.member.name)))
    passing = [term for term in ordered if term.facts.passes]
    if len(passing) > 1:
        raise ValueError(
            f"the methods '{passing[0]}' and '{passing[1]}' both make passes of their own in a "
            "step: take one of them"
        )
    second_networks = [term for term in ordered if term.facts.acts == "second"]
    for first, second in pairwise(ordered):
        if first.member is second.member:
            raise ValueError(
                f"the methods '{first}' and '{second}' are of one kind: take one of them"
            )
    if len(second_networks) > 1:
        one, other = second_networks[:2]
        raise ValueError(
            f"the methods '{one}' and '{other}' both train a second network along, of which one "
            "can be evaluated: take one of them"
        )
    return ordered


def _place(term: Term[TransformFacts]) -> tuple[int, bool, str]:
    """By what is changed, labels of its own before others, then by name."""
    return _when(term.facts), term.facts.classes is None, term.member.name


def _when(facts: TransformFacts) -> int:
    return get_args(Changes).index(facts.changes)
