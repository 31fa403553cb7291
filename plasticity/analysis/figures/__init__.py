"""The figures of a study, one module a kind of figure.

A module here defines ``draw(tables: Tables) -> Drawing`` and may be named in a configuration under
``draw``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib import rc_context
from matplotlib.cbook import is_math_text
from matplotlib.figure import Figure
from matplotlib.mathtext import MathTextParser

from plasticity.analysis.figures import style
from plasticity.analysis.summary.roles import with_roles
from plasticity.core import files
from plasticity.core.errors import UserError, shown


@dataclass(frozen=True)
class Tables:
    """What a figure is drawn from.

    `runs` and `curves` are the tables of `analysis.summary` with a column `role`: in `runs` in the
    order in which the configuration gives the roles, in `curves` without a value where the
    epochs are those of pretraining. `labels` are the roles in words. `observations` are what a
    figure's setting ``observe`` asks for, with the run and its role in every row: the table of
    `plasticity.observe.telemetry`, or that of `plasticity.observe.connectivity`.
    """

    title: str
    runs: pd.DataFrame
    curves: pd.DataFrame
    labels: Mapping[str, str]
    observations: pd.DataFrame | None = None

    @classmethod
    def of(
        cls,
        title: str,
        runs: pd.DataFrame,
        curves: pd.DataFrame,
        roles: Mapping[str, list[str]],
        labels: Mapping[str, str],
        observations: pd.DataFrame | None = None,
    ) -> Tables:
        """Tables with the role of each run; a run that plays two roles appears twice."""
        played, epochs = with_roles(runs, curves, roles)
        if observations is not None:
            observations = played[["role", "run"]].merge(observations, on="run")
        return cls(title, played, epochs, labels, observations)

    @property
    def observed(self) -> pd.DataFrame:
        """What was observed; raises `UserError` where the configuration did not ask for it."""
        if self.observations is None:
            raise UserError(
                "this figure draws what is observed during training or between two states, and "
                "its configuration does not say so; add observe: telemetry or observe: connectivity"
            )
        return self.observations


@dataclass(frozen=True)
class Drawing:
    """A picture and the numbers that it shows, a row a point."""

    picture: Figure
    numbers: pd.DataFrame


def render(draw: str, tables: Tables, outputs: Mapping[str, str | Path], across: str = "") -> None:
    """Draw with the module `draw` and write what `outputs` names.

    The picture in the formats svg, pdf and png, with the words `across` it, and its numbers as csv.
    """
    _require_drawable({"title": tables.title, **tables.labels})
    module = importlib.import_module(f"plasticity.analysis.figures.{draw}")
    with rc_context(style.RC):  # type: ignore[arg-type]
        drawing: Drawing = module.draw(tables)
        if across:
            drawing.picture.text(0.5, 0.5, across, **style.ACROSS)
        for suffix in (one for one in ("svg", "pdf", "png") if one in outputs):
            # No date in the file: the same numbers give the same bytes.
            dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
            with files.whole(outputs[suffix]) as partial:
                drawing.picture.savefig(partial, format=suffix, metadata=dated)
    numbers = drawing.numbers.to_csv(index=False, float_format="%.6g")
    if "csv" in outputs:
        with files.whole(outputs["csv"]) as partial:
            partial.write_text(numbers, encoding="utf-8")


def _require_drawable(texts: Mapping[str, str]) -> None:
    """Raise `UserError` for a text, by the role or the key that has it, with a wrong formula."""
    parser = MathTextParser("path")
    for name, text in texts.items():
        for line in filter(is_math_text, text.splitlines()):
            try:
                parser.parse(line)
            except ValueError as error:
                reason = str(error).strip().splitlines()[-1]
                raise UserError(
                    f"{name}: {shown(line)}: what stands between dollar signs is no formula that "
                    f"can be drawn ({reason}); write \\$ for the sign itself"
                ) from None
