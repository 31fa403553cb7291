"""`early_connectivity`: the error between networks trained from one state in two orders."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

import pandas as pd
from matplotlib.axes import Axes

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.core.errors import UserError

PARTS = {"test": "Test error (%)", "train": "Training error (%)"}
"""What was evaluated on the line, with the axis of its error."""
ASIDE = 0.06
"""How far points of a part stand beside their iteration, as a fraction of the space to the next."""
FIRST_STEP = math.log(2.5)
"""The space between 0 and the first iteration after it."""


def draw(tables: Tables) -> Drawing:
    """Above: the barrier by iteration k. Below: the error on the line, a line an iteration k."""
    errors = errors_of(tables)
    style.require_points(errors, "what was observed between two trainings of its runs")
    barriers = barriers_of(errors)
    places = _places(barriers["begins"])
    picture = style.picture(7.6, 6.6)
    grid = picture.add_gridspec(2, 2)
    upper = picture.add_subplot(grid[0, :])
    left = picture.add_subplot(grid[1, 0])
    right = picture.add_subplot(grid[1, 1], sharey=left)
    numbers = []
    for position, part in enumerate(PARTS):
        numbers.append(_barriers(upper, barriers[barriers["part"] == part], places, position))
    upper.axhline(0, color="0.4", linewidth=0.8)
    upper.set_xticks(list(places.values()), [str(begins) for begins in places])
    upper.set(
        xlabel="Iteration k of the common state (logarithmic from the first after 0 on)",
        ylabel="Error barrier\n(percentage points)",
    )
    upper.legend(**style.entries([upper]), loc="best")
    for axes, (part, words) in zip((left, right), PARTS.items(), strict=True):
        numbers.append(_lines(axes, errors[errors["part"] == part]))
        axes.set(xlabel="Place on the line between the two", ylabel=words)
    right.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    table = pd.concat(numbers, ignore_index=True)
    style.head(picture, tables.title, style.seeds_note(table["n"]))
    return Drawing(picture, table)


def errors_of(tables: Tables) -> pd.DataFrame:
    """A row a run, a part and a place `alpha` on the line: the `error` as a fraction."""
    about = tables.runs[["role", "run", "seed", "begins"]]
    observed = tables.observed
    measured = [f"{part}_accuracy" for part in PARTS]
    lines = observed[["role", "run", "alpha", *measured]].merge(about, on=["role", "run"])
    parts = [
        lines[["role", "run", "seed", "begins", "alpha"]].assign(
            part=part, error=1 - lines[f"{part}_accuracy"]
        )
        for part in PARTS
    ]
    return pd.concat(parts, ignore_index=True).sort_values("alpha", kind="stable")


def barriers_of(errors: pd.DataFrame) -> pd.DataFrame:
    """The largest error of a line minus the mean of those at its ends: `barrier`, as a fraction.

    A row a run and a part.
    """
    keys = ["role", "run", "seed", "begins", "part"]
    ends = errors[errors["alpha"].isin([0, 1])].groupby(keys, sort=False)["error"]
    highest = errors.groupby(keys, sort=False)["error"].max()
    lacking = highest.index.difference(ends.size()[ends.size() == 2].index)
    if len(lacking):
        raise UserError(
            f"the line between the two trainings of {lacking[0][1]} was not observed at both of "
            "its ends, once each; delete what was observed of it and run again"
        )
    return (highest - ends.mean()).rename("barrier").reset_index()


def _places(iterations: Iterable[int]) -> dict[int, float]:
    """Where each iteration stands: logarithmically, and 0 a step to the left of the others."""
    found = sorted({int(iteration) for iteration in iterations})
    later = [math.log(iteration) for iteration in found if iteration]
    before = [later[0] - FIRST_STEP if later else 0.0] if found[0] == 0 else []
    return dict(zip(found, [*before, *later], strict=True))


def _barriers(
    axes: Axes, barriers: pd.DataFrame, places: dict[int, float], position: int
) -> pd.DataFrame:
    """Mean and standard deviation of the barriers of one part over seeds."""
    part = barriers["part"].iloc[0]
    between = [after - before for before, after in pairwise(places.values())]
    aside = ASIDE * min(between, default=1.0) * (-1 if position == 0 else 1)
    barriers = barriers.assign(place=barriers["begins"].map(places) + aside)
    table = style.over_seeds(barriers, ["part", "begins"], "barrier").sort_values("begins")
    at = table.assign(place=table["begins"].map(places) + aside)
    label, dashes = PARTS[part].partition(" (")[0].lower(), style.DASHES[position]
    style.points(axes, at, "place", position, label=label, linestyle=dashes)
    style.single_seeds(axes, barriers, "place", "barrier")
    table.insert(1, "quantity", "barrier")
    return table


def _lines(axes: Axes, errors: pd.DataFrame) -> pd.DataFrame:
    """The error of one part along the line, a line an iteration k."""
    table = style.over_seeds(errors, ["part", "begins", "alpha"], "error")
    table = table.sort_values(["begins", "alpha"])
    looks = style.by_iteration(table["begins"])
    for begins, line in table.groupby("begins"):
        k = int(str(begins))
        style.curve(
            axes, line.rename(columns={"alpha": "x"}), label=f"k = {k}", markersize=4, **looks[k]
        )
    table.insert(1, "quantity", "error")
    return table
