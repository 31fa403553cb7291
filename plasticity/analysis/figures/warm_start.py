"""Figure 1: pretraining on part of the data, then tuning on all of it, against from scratch."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from plasticity.analysis.figures import Drawing, Tables, style


def draw(tables: Tables) -> Drawing:
    """Test accuracy by epoch. Tuning begins at epoch 0; pretraining stands to the left of it."""
    picture = style.picture(6.6, 3.8)
    axes = picture.subplots()
    numbers, drawn = [], set[str]()
    for position, role in enumerate(tables.runs["role"].unique()):
        color = style.series_color(role, position)
        runs = tables.runs[tables.runs["role"] == role]
        tuning = tables.curves[(tables.curves["role"] == role) & (tables.curves["kind"] == "tune")]
        label = tables.labels[role]
        numbers.append(
            _draw_stage(axes, tuning, tables.runs, role, 0, color=color, label=label, linestyle="-")
        )
        parents = set(runs["parent"].dropna()) - drawn
        drawn |= parents
        before = tables.curves[tables.curves["run"].isin(parents)]
        before = before[before["kind"] == "pretrain"]
        if len(before):
            shift = -int(before["epoch"].max())
            line = {"color": color, "label": "its pretraining", "linestyle": "--"}
            numbers.append(
                _draw_stage(axes, before, tables.runs, f"{role}, pretraining", shift, **line)
            )
    table = pd.concat(numbers, ignore_index=True)
    axes.axvline(0.5, color="0.4", linewidth=0.8, linestyle=":")
    axes.set(xlabel="Epoch of tuning (pretraining below 1)")
    style.finish_curves(axes, tables.title, tables.runs, table)
    return Drawing(picture, table)


def _draw_stage(
    axes: Axes, curves: pd.DataFrame, runs: pd.DataFrame, series: str, shift: int, **line: Any
) -> pd.DataFrame:
    evaluated = curves[curves["test_accuracy"].notna()]
    table = style.over_seeds(evaluated, ["epoch"], "test_accuracy")
    table = style.of_all_seeds(table, runs)
    table.insert(0, "x", table["epoch"] + shift)
    table.insert(0, "series", series)
    style.curve(axes, table, **line)
    return table
