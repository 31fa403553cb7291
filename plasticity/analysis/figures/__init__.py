"""The figures of a study, one module a kind of figure.

A module here defines ``draw(tables: Tables) -> Drawing`` and may be named in a configuration under
``draw``.
"""

from __future__ import annotations

import importlib
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
from plasticity.runs import extensions

DIVERGED = ["role", "run", "seed", "diverged_step"]
"""What is told of a run that diverged, in the numbers beside a picture too."""


@dataclass(frozen=True)
class Tables:
    """What a figure is drawn from.

    `runs` and `curves` are the tables of `analysis.summary` with a column `role`: in `runs` in the
    order in which the configuration gives the roles, in `curves` without a value where the
    epochs are those of pretraining. Runs that diverged are in neither, but in `diverged`, with
    their role, seed and step. `labels` are the roles in words. `observations` are what a
    figure's setting ``observe`` asks for, with the run and its role in every row: the table of
    `plasticity.observe.telemetry`, or that of `plasticity.observe.connectivity`. `remedies` is the
    table of `plasticity.analysis.summary.remedies`, of a figure with arms.
    """

    title: str
    runs: pd.DataFrame
    curves: pd.DataFrame
    labels: Mapping[str, str]
    observations: pd.DataFrame | None = None
    diverged: pd.DataFrame = field(default_factory=lambda: pd.DataFrame(columns=DIVERGED))
    remedies: pd.DataFrame | None = None

    @classmethod
    def of(
        cls,
        title: str,
        runs: pd.DataFrame,
        curves: pd.DataFrame,
        roles: Mapping[str, list[str]],
        labels: Mapping[str, str],
        observations: pd.DataFrame | None = None,
        remedies: pd.DataFrame | None = None,
    ) -> Tables:
        """Tables with the role of each run; a run that plays two roles appears twice.

        A run has diverged for a figure, too, that draws a line to which there is no end.
        """
        played, epochs = with_roles(runs, curves, roles)
        gone = played["diverged"].astype(bool)
        if observations is not None and "reason" in observations:
            gone |= played["run"].isin(observations.loc[observations["reason"].notna(), "run"])
        diverged, played = played.loc[gone, DIVERGED], played[~gone].reset_index(drop=True)
        if len(diverged):
            alive = [f"{run}/" for run in played["run"]]
            led = {
                run: any(one.startswith(f"{run}/") for one in alive) for run in set(epochs["run"])
            }
            epochs = epochs[epochs["run"].map(led).astype(bool)]
        if observations is not None:
            observations = played[["role", "run"]].merge(observations, on="run")
        return cls(title, played, epochs, labels, observations, diverged, remedies)

    @property
    def left_out(self) -> str:
        """How many runs diverged and are left out, role by role; empty where none did."""
        if self.diverged.empty:
            return ""
        dead, alive = self.diverged["role"].value_counts(), self.runs["role"].value_counts()
        runs = len(self.diverged) + len(self.runs)
        verb = "diverged and is" if len(self.diverged) == 1 else "diverged and are"
        parts = (
            f"{self.labels.get(str(role), role)}: {count} of {count + alive.get(role, 0)}"
            for role, count in dead.items()
        )
        return f"{len(self.diverged)} of {runs} runs {verb} left out ({'; '.join(parts)})"

    @property
    def arms(self) -> pd.DataFrame:
        """The table of remedies; raises `UserError` where the configuration names no arms."""
        if self.remedies is None:
            raise UserError("this figure draws remedies as arms; name them in its key arms")
        return self.remedies

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
    """Draw with the module or the function of an extension `draw`, and write what `outputs` names.

    The picture in the formats svg, pdf and png, with the words `across` it, and its numbers as csv.
    """
    _require_drawable({"title": tables.title, **tables.labels})
    function: Callable[[Tables], Drawing] = (
        extensions.function(draw)
        if "." in draw
        else importlib.import_module(f"plasticity.analysis.figures.{draw}").draw
    )
    with rc_context(style.RC):  # type: ignore[arg-type]
        drawing = _drawn(function, tables)
        if not isinstance(drawing, Drawing):
            raise UserError(
                f"draw: {draw}: returns {type(drawing).__name__}; expected a Drawing, of "
                "plasticity.analysis.figures"
            )
        if across:
            drawing.picture.text(0.5, 0.5, across, **style.ACROSS)
        if note := tables.left_out:
            picture = drawing.picture
            # A legend at the bottom would move down to where the picture is cut: onto the note.
            picture.draw_without_rendering()
            picture.set_layout_engine("none")
            for legend in picture.legends:
                legend.set_bbox_to_anchor((0, 0, 1, 1), picture.transFigure)
            picture.text(0.01, -0.01, textwrap.fill(note, 100), va="top", fontsize=8.5)
        for suffix in (one for one in ("svg", "pdf", "png") if one in outputs):
            # No date in the file: the same numbers give the same bytes.
            dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix)
            with files.whole(outputs[suffix]) as partial:
                drawing.picture.savefig(partial, format=suffix, metadata=dated)
    parts = [drawing.numbers, tables.diverged]
    shown_numbers = pd.concat([part for part in parts if len(part)]) if note else drawing.numbers
    numbers = shown_numbers.to_csv(index=False, float_format="%.6g")
    if "csv" in outputs:
        with files.whole(outputs["csv"]) as partial:
            partial.write_text(numbers, encoding="utf-8")


def _drawn(draw: Callable[[Tables], Drawing], tables: Tables) -> Drawing:
    """What `draw` makes of `tables`; where what it needs has diverged, a picture that says so."""
    try:
        if len(tables.runs) or tables.diverged.empty:
            return draw(tables)
    except style.NothingToDrawError:
        if tables.diverged.empty:
            raise
    picture = style.picture(height=1.0)
    style.head(picture, tables.title, "nothing is left to draw: see below")
    return Drawing(picture, pd.DataFrame())


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
