"""Figure 4: final accuracy when the data grows in several stages, evenly or class by class."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.runs.values import decimal


def draw(tables: Tables) -> Drawing:
    """Left: by number of stages, new examples drawn evenly. Right: by the share drawn evenly.

    Roles that begin with ``imbalanced`` are drawn on the right, the others on the left.
    """
    runs = tables.runs.assign(splits=tables.runs["stages"] - 1)
    right_roles = runs["role"].str.startswith("imbalanced")
    picture = style.picture(9.0, 3.8)
    left, right = picture.subplots(1, 2, sharey=True)
    cold = style.cold_band(left, runs, tables.labels)
    style.cold_band(right, runs, tables.labels)
    even = _panel(left, tables, runs[~right_roles & (runs["role"] != "cold")], "splits")
    uneven = _panel(right, tables, runs[right_roles], "ratio")
    numbers = pd.concat([cold, even, uneven], ignore_index=True)
    left.set(xlabel="Stages of pretraining", ylabel=style.FINAL_ACCURACY)
    stages = sorted(runs.loc[right_roles, "splits"].unique())
    counted = f"stage{'s' if stages != [1] else ''} of pretraining: {' or '.join(map(str, stages))}"
    right.set(xlabel=f"Share of new examples drawn evenly\n({counted})")
    style.finish(left, tables.title, numbers)
    right.legend(loc="lower right")
    left.legend(loc="lower left")
    return Drawing(picture, numbers)


def _panel(axes: Axes, tables: Tables, runs: pd.DataFrame, x: str) -> pd.DataFrame:
    table = style.over_seeds(runs, ["role", x], "test_accuracy")
    for position, (role, line) in enumerate(table.groupby("role", sort=False), start=1):
        style.points(axes, line.sort_values(x), x, position, label=tables.labels[str(role)])
    style.single_seeds(axes, runs, x)
    values = sorted(runs[x].unique())
    axes.set_xticks(values, [decimal(value) for value in values])
    return table
