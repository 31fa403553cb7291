"""How a configuration spells runs: lineages with words in braces and repeated stages.

    stage{i}of{splits}r1_{adam}_e{stage}_{start}*{splits}/full_{adam:rate}_e{tune}_keep

A word in braces is a length, an optimiser or a variable of the figure's grid. ``{adam:rate}`` is
the optimiser ``adam`` at the learning rate that the grid gives as ``rate``. A stage that ends with
``*{splits}`` stands there that many times; in it ``{i}`` counts from 1, and ``{start}`` is ``init``
for the first stage of the run and ``keep`` for the others.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from plasticity.core.errors import UserError, shown
from plasticity.runs import OptimiserFacts, Run, Term, models
from plasticity.runs.bounds import LONGEST_RUN
from plasticity.runs.run import too_long
from plasticity.runs.stage import Token
from plasticity.runs.values import decimal
from plasticity.study.explain import unknown
from plasticity.study.settings import Settings, optimiser

COUNTED = {"i", "start"}
"""Words that a repeated stage has besides."""


@dataclass(frozen=True)
class Field:
    """A word in braces and, after a colon, the variable that gives its learning rate."""

    word: str
    rate: str | None


@dataclass(frozen=True)
class RunTemplate:
    """The runs of one role of a figure: data set, model, and stages, not yet filled.

    `where` is the key of the configuration that messages name.
    """

    where: str
    dataset: str
    model: str
    stages: str
    settings: Settings

    @cached_property
    def variables(self) -> set[str]:
        """Every word that is looked up, those of learning rates included."""
        named = self._named(self.dataset) | self._named(self.model)
        for stage in self.stages.split("/"):
            text, star, count = stage.partition("*")
            named |= self._named(text) - (COUNTED if star else set()) | self._named(count)
        return named

    def _named(self, text: str) -> set[str]:
        fields = [field for _, field in _parts(self.where, text) if field]
        return {name for field in fields for name in (field.word, field.rate) if name is not None}

    def over(self, grid: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
        """The part of `grid` that the template mentions: a cold run is the same for every other."""
        return {name: values for name, values in grid.items() if name in self.variables}

    def require_known(self, grid: Mapping[str, Any]) -> None:
        """Raise `UserError` for a word that is none of the lengths, the optimisers and `grid`."""
        known = {**self.settings.lengths, **self.settings.optimisers, **grid}
        for word in sorted(self.variables - set(known)):
            raise UserError(
                unknown(self.where, "word in braces", word, known)
                + " (the words are the keys of lengths, of optimisers and of the grid)"
            )

    def run(self, seed: int, point: Mapping[str, Any]) -> Run:
        """The run of `seed` at one `point` of the grid; raises `UserError`."""
        dataset = _text(self._fill(self.dataset, point))
        # Over a grid of sizes one may be that of a network with a name of its own.
        model = models.read(_text(self._fill(self.model, point)))
        place = f"{dataset}/{model}/seed{seed}"
        pieces: list[Token] = []
        size = len(place)
        for number, stage in enumerate(self.stages.split("/")):
            for filled in self._repeated(stage, point, first=number == 0):
                pieces += ["/", *filled]
                size += 1 + sum(len(str(piece)) for piece in filled)
                if size > LONGEST_RUN:  # a stage may stand there thousands of times
                    raise UserError(too_long(place + _text(pieces)))
        stages = [[_token(t) for t in _split(stage, "_")] for stage in _split(pieces[1:], "/")]
        return Run.of_words(dataset, model, seed, stages)

    def _repeated(self, stage: str, point: Mapping[str, Any], first: bool) -> Iterator[list[Token]]:
        text, star, count = stage.partition("*")
        if not star:
            yield self._fill(text, point)
            return
        times = _text(self._fill(count, point))
        if not re.fullmatch(r"[1-9][0-9]{0,17}", times):
            raise UserError(
                f"stage {shown(stage)}: expected a whole number of at least 1 after '*', "
                f"got {shown(times)}"
            )
        for i in range(1, int(times) + 1):
            start = "init" if first and i == 1 else "keep"
            yield self._fill(text, {**point, "i": i, "start": start})

    def _fill(self, text: str, point: Mapping[str, Any]) -> list[Token]:
        """The pieces of `text` with what its words in braces stand for."""
        pieces: list[Token] = []
        for literal, field in _parts(self.where, text):
            pieces.append(literal)
            if field:
                pieces.append(self._word(field, point))
        return pieces

    def _word(self, field: Field, point: Mapping[str, Any]) -> Token:
        rule = self.settings.rules.get(field.word)
        if field.rate is not None:
            if rule is None:
                raise UserError(
                    f"'{{{field.word}:{field.rate}}}': {field.word} is no optimiser; only an "
                    "optimiser has a learning rate"
                )
            if field.rate not in point:
                raise UserError(
                    f"'{{{field.word}:{field.rate}}}': {field.rate} is no variable of the grid"
                )
            return self._at_rate(field.word, point[field.rate])
        if field.word in point:
            value = point[field.word]
            return decimal(value) if isinstance(value, float) else str(value)
        return rule or str(self.settings.lengths[field.word])

    def _at_rate(self, name: str, rate: Any) -> Term[OptimiserFacts]:
        """The optimiser that the configuration calls `name`, at the learning `rate`."""
        if (name, rate) not in self._rated:
            entry = {**self.settings.optimisers[name], "lr": rate}
            self._rated[name, rate] = optimiser(f"optimisers.{name}", entry)
        return self._rated[name, rate]

    @cached_property
    def _rated(self) -> dict[tuple[str, Any], Term[OptimiserFacts]]:
        return {}


@cache
def _parts(where: str, text: str) -> list[tuple[str, Field | None]]:
    """The literals of `text`, each with the word in braces behind it; raises `UserError`."""
    parts: list[tuple[str, Field | None]] = []
    try:
        found = list(string.Formatter().parse(text))
    except ValueError as error:
        raise UserError(f"{where}: {shown(text)}: {error}") from None
    for literal, word, rate, conversion in found:
        if conversion or not re.fullmatch(r"\w*", rate or ""):
            raise UserError(
                f"{where}: {shown(text)}: expected a bare word in braces at {shown(word)}"
            )
        parts.append((literal, None if word is None else Field(word, rate or None)))
    return parts


def _split(pieces: Iterable[Token], separator: str) -> list[list[Token]]:
    """`pieces` cut at every `separator` in what is spelt."""
    parts: list[list[Token]] = [[]]
    for piece in pieces:
        if isinstance(piece, str):
            first, *rest = piece.split(separator)
            parts[-1].append(first)
            parts += [[one] for one in rest]
        else:
            parts[-1].append(piece)
    return parts


def _token(pieces: Iterable[Token]) -> Token:
    """The token of `pieces`: a term where it is nothing else."""
    some = [piece for piece in pieces if piece != ""]
    return some[0] if len(some) == 1 else _text(some)


def _text(pieces: Iterable[Token]) -> str:
    return "".join(map(str, pieces))
