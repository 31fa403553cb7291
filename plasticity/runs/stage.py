"""A stage of training: four tokens of a path."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from plasticity.core.errors import shown
from plasticity.runs import vocabulary
from plasticity.runs.combination import combination, methods_in_order
from plasticity.runs.facts import (
    MethodFacts,
    OptimiserFacts,
    SelectionFacts,
    StartFacts,
    TransformFacts,
)
from plasticity.runs.grammar import SpellingError
from plasticity.runs.length import Length
from plasticity.runs.registry import F, Term

SEPARATOR = re.compile(r"\+(?![\d.])")
"""What stands before a method: a plus before a number is a sign."""

Token = str | Term[Any]
"""A part of a stage, as it is spelt or known already."""


@dataclass(frozen=True)
class Stage:
    """One stage of training: which examples, which update rule, how long, starting from what.

    `transforms` say how the stage sees its examples, `methods` act beside its optimiser: both in
    their one order.
    """

    data: Term[SelectionFacts]
    optimiser: Term[OptimiserFacts]
    length: Length
    start: Term[StartFacts]
    transforms: tuple[Term[TransformFacts], ...] = ()
    methods: tuple[Term[MethodFacts], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Stage:
        """The stage that `text` spells, such as ``half_adam-lr0.001_e350_init``."""
        return cls.of(*text.split("_"))

    @classmethod
    @cache
    def of(cls, *tokens: Token) -> Stage:
        """The stage of four tokens, of which an optimiser or a start need not be spelt."""
        if len(tokens) != 4:
            raise SpellingError(
                f"stage {shown('_'.join(map(str, tokens)))}: expected "
                "<data>_<optimiser>_<length>_<start>, such as half_adam-lr0.001_e350_init"
            )
        data, optimiser, length, start = tokens
        rule, methods = rule_and_methods(optimiser)
        return cls(
            data=vocabulary.data_selections.parse(str(data).partition("+")[0]),
            optimiser=rule,
            length=Length.parse(str(length)),
            start=vocabulary.starts.known(start),
            transforms=transforms_of(str(data)),
            methods=methods,
        )

    @cached_property
    def seen(self) -> str:
        """The data token: which examples, and how they are seen."""
        return "+".join(map(str, (self.data, *self.transforms)))

    @cached_property
    def trained_by(self) -> str:
        """The optimiser token: the update rule, and the methods beside it."""
        return trained_by(self.optimiser, self.methods)

    @property
    def passes(self) -> int:
        """How often a step evaluates the loss and its gradient: its rule, and methods besides."""
        return passes_of(self.optimiser, self.methods)

    def __hash__(self) -> int:
        # Equal stages have the same spelling, and text keeps its hash.
        return hash(self.spelling)

    @property
    def prunes(self) -> bool:
        """Whether the stage trains what is left of the network after pruning it."""
        return self.start.facts.prunes

    @property
    def is_new(self) -> bool:
        """Whether the stage begins at the initialisation, with nothing done to it."""
        return self.start.facts.inherits is False

    @property
    def depends_on_length(self) -> bool:
        """Whether what it does depends on how long it is: a shorter one is not its beginning."""
        to_the_end = self.optimiser.options["schedule"] is not None
        return to_the_end or self.data.facts.fraction_of_all is not None

    @property
    def is_beginning(self) -> bool:
        """Whether a longer stage of the same words does the same up to where this one ends."""
        return self.length.unit == "e" and not self.prunes and not self.depends_on_length

    @cached_property
    def spelling(self) -> str:
        """The folder name itself, in its one spelling."""
        return f"{self.seen}_{self.trained_by}_{self.length}_{self.start}"

    def __str__(self) -> str:
        return self.spelling


def trained_by(rule: Term[OptimiserFacts], methods: Sequence[Term[MethodFacts]]) -> str:
    """The token of a `rule` and the `methods` beside it."""
    return "+".join(map(str, (rule, *methods)))


def passes_of(rule: Term[OptimiserFacts], methods: Sequence[Term[MethodFacts]]) -> int:
    """How often a step by `rule` with `methods` evaluates the loss and its gradient."""
    return rule.facts.passes + sum(method.facts.passes for method in methods)


def transforms_of(text: str) -> tuple[Term[TransformFacts], ...]:
    """The transforms in the data token `text`, in their order; raises `SpellingError`."""
    selection, *spelt = text.split("+")
    terms = tuple(vocabulary.transforms.parse(view) for view in spelt)
    return _require_order("data", text, selection, terms, combination)


def rule_and_methods(
    token: Token,
) -> tuple[Term[OptimiserFacts], tuple[Term[MethodFacts], ...]]:
    """The update rule and the methods in the optimiser `token`; raises `SpellingError`."""
    if isinstance(token, Term):
        return vocabulary.optimisers.known(token), ()
    rule, *spelt = SEPARATOR.split(token)
    return vocabulary.optimisers.known(rule), _spelt_methods("optimiser", token, rule, spelt)


def methods_of(text: str) -> tuple[Term[MethodFacts], ...]:
    """The methods in `text`, with a ``+`` before each of them; raises `SpellingError`."""
    before, *spelt = SEPARATOR.split(text)
    if before or not spelt:
        raise SpellingError(f"methods {shown(text)}: expected a '+' before each, as in +l2init0.01")
    return _spelt_methods("methods", text, before, spelt)


def _spelt_methods(
    kind: str, text: str, before: str, spelt: Sequence[str]
) -> tuple[Term[MethodFacts], ...]:
    terms = tuple(vocabulary.methods.parse(method) for method in spelt)
    return _require_order(kind, text, before, terms, methods_in_order)


def _require_order(
    kind: str,
    text: str,
    before: str,
    terms: tuple[Term[F], ...],
    in_order: Callable[[tuple[Term[F], ...]], tuple[Term[F], ...]],
) -> tuple[Term[F], ...]:
    """The `terms` behind `before` in `text`, which are `in_order`; raises `SpellingError`."""
    try:
        ordered = in_order(terms)
    except ValueError as error:
        raise SpellingError(f"{kind} {shown(text)}: {error}") from None
    if ordered != terms:
        right = "+".join([before, *map(str, ordered)])
        raise SpellingError(f"{kind} {shown(text)} is spelt {right!r}")
    return terms
