"""Figure 3: final accuracy after a smooth transition from half of the data to all of it."""

from __future__ import annotations

import pandas as pd

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.runs.values import decimal


def draw(tables: Tables) -> Drawing:
    """Mean and standard deviation over seeds by gamma; bands for runs without a transition."""
    picture = style.picture()
    axes = picture.subplots()
    drift = tables.runs.dropna(subset="gamma")
    levels = []
    for position, role in enumerate(tables.runs.loc[tables.runs["gamma"].isna(), "role"].unique()):
        color = style.COLD if role == "cold" else style.LEVELS[position % len(style.LEVELS)]
        dashes = "-" if role == "cold" else "--"
        level = style.band(axes, tables.runs, tables.labels, role, color, linestyle=dashes)
        levels.append(level)
    table = style.over_seeds(drift, ["role", "gamma"], "test_accuracy")
    for position, (role, line) in enumerate(table.groupby("role", sort=False), start=1):
        style.points(
            axes, line.sort_values("gamma"), "gamma", position, label=tables.labels[str(role)]
        )
    style.single_seeds(axes, drift, "gamma")
    numbers = pd.concat([*levels, table], ignore_index=True)
    gammas = sorted(drift["gamma"].unique())
    axes.set_xticks(gammas, [decimal(gamma) for gamma in gammas])
    axes.set(
        xlabel="$\\gamma$: from an early to a late transition to all of the data",
        ylabel=style.FINAL_ACCURACY,
    )
    style.finish(axes, tables.title, numbers)
    axes.legend(loc="best")
    return Drawing(picture, numbers)
