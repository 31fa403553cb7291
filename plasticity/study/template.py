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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from plasticity.core.errors import UserError, shown
from plasticity.runs import models
from plasticity.runs.run import LONGEST_RUN, too_long
from plasticity.runs.values import decimal
from plasticity.study.settings import Settings, spell_optimiser, unknown

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
        fields = _fields(self.where, text)
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

    def lineage(self, seed: int, point: Mapping[str, Any]) -> str:
        """The path of the run of `seed` at one `point` of the grid; raises `UserError`."""
        dataset = self._fill(self.dataset, point)
        # Over a grid of sizes one may be that of a network with a name of its own.
        model = str(models.read(self._fill(self.model, point)))
        path = "/".join([dataset, model, f"seed{seed}"])
        for number, stage in enumerate(self.stages.split("/")):
            for filled in self._repeated(stage, point, first=number == 0):
                path += f"/{filled}"
                if len(path) > LONGEST_RUN:  # a stage may stand there thousands of times
                    raise UserError(too_long(path))
        return path

    def _repeated(self, stage: str, point: Mapping[str, Any], first: bool) -> Iterator[str]:
        text, star, count = stage.partition("*")
        if not star:
            yield self._fill(text, point)
            return
        times = self._fill(count, point)
        if not re.fullmatch(r"[1-9][0-9]{0,17}", times):
            raise UserError(
                f"stage {shown(stage)}: expected a whole number of at least 1 after '*', "
                f"got {shown(times)}"
            )
        for i in range(1, int(times) + 1):
            start = "init" if first and i == 1 else "keep"
            yield self._fill(text, {**point, "i": i, "start": start})

    def _fill(self, text: str, point: Mapping[str, Any]) -> str:
        filled = ""
        for literal, word, rate, _ in string.Formatter().parse(text):
            filled += literal
            if word is not None:
                filled += self._word(Field(word, rate or None), point)
        return filled

    def _word(self, field: Field, point: Mapping[str, Any]) -> str:
        entry = self.settings.optimisers.get(field.word)
        if field.rate is not None:
            if entry is None:
                raise UserError(
                    f"'{{{field.word}:{field.rate}}}': {field.word} is no optimiser; only an "
                    "optimiser has a learning rate"
                )
            if field.rate not in point:
                raise UserError(
                    f"'{{{field.word}:{field.rate}}}': {field.rate} is no variable of the grid"
                )
            return spell_optimiser(field.word, {**entry, "lr": point[field.rate]})
        if field.word in point:
            value = point[field.word]
            return decimal(value) if isinstance(value, float) else str(value)
        return (
            spell_optimiser(field.word, entry) if entry else str(self.settings.lengths[field.word])
        )


def _fields(where: str, text: str) -> list[Field]:
    """The words in braces in `text`."""
    try:
        parts = [part[1:] for part in string.Formatter().parse(text) if part[1] is not None]
    except ValueError as error:
        raise UserError(f"{where}: {shown(text)}: {error}") from None
    for word, rate, conversion in parts:
        if conversion or not re.fullmatch(r"\w*", rate or ""):
            raise UserError(
                f"{where}: {shown(text)}: expected a bare word in braces at {shown(word)}"
            )
    return [Field(str(word), rate or None) for word, rate, _ in parts]
