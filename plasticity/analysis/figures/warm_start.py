"""Figure 1: pretraining on part of the data, then tuning on all of it, against from scratch."""

from __future__ import annotations

import pandas as pd

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.runs import Run


def draw(tables: Tables) -> Drawing:
    """Test accuracy by epoch. Tuning begins at epoch 0; pretraining stands to the left of it."""
    picture = style.picture(6.6, 3.8)
    axes = picture.subplots()
    numbers, drawn = [], set[str]()
    for position, role in enumerate(tables.runs["role"].unique()):
        color = style.series_color(role, position)
        runs = tables.runs[tables.runs["role"] == role]
        tuning = tables.curves[(tables.curves["role"] == role) & (tables.curves["kind"] == "tune")]
        table = _mean(tuning, role, style.has_target(tables.runs))
        table.insert(1, "x", table["epoch"])
        style.curve(axes, table, color=color, label=tables.labels[role], linestyle="-")
        numbers.append(table)
        parents = set(runs["parent"].dropna()) - drawn
        drawn |= parents
        before = tables.curves[tables.curves["run"].isin(parents)]
        before = before[before["kind"] == "pretrain"]
        if len(before):
            target = any(Run.parse(run).stage.length.percent for run in parents)
            table = _mean(before, f"{role}, pretraining", target)
            table.insert(1, "x", table["epoch"] - int(table["epoch"].max()))
            style.curve(axes, table, color=color, label="its pretraining", linestyle="--")
            numbers.append(table)
    table = pd.concat(numbers, ignore_index=True)
    axes.axvline(0.5, color="0.4", linewidth=0.8, linestyle=":")
    axes.set(xlabel="Epoch of tuning (pretraining below 1)")
    style.finish_curves(axes, tables.title, tables.runs, table)
    return Drawing(picture, table)


def _mean(curves: pd.DataFrame, series: str, has_target: bool) -> pd.DataFrame:
    """The mean curve of test accuracy over seeds, by epoch."""
    evaluated = curves[curves["test_accuracy"].notna()]
    table = style.over_seeds(evaluated, ["epoch"], "test_accuracy")
    if has_target:
        table = style.of_all_seeds(table)
    table.insert(0, "series", series)
    return table
