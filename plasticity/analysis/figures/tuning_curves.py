"""Figure 11: learning curves of tuning, for several starts."""

from __future__ import annotations

import pandas as pd

from plasticity.analysis.figures import Drawing, Tables, style


def draw(tables: Tables) -> Drawing:
    """Test accuracy by epoch of tuning: whether a start makes tuning faster."""
    picture = style.picture()
    axes = picture.subplots()
    numbers = []
    evaluated = tables.curves["test_accuracy"].notna()
    tuning = tables.curves[(tables.curves["kind"] == "tune") & evaluated]
    for position, role in enumerate(tables.runs["role"].unique()):
        color = style.series_color(role, position)
        table = style.over_seeds(tuning[tuning["role"] == role], ["epoch"], "test_accuracy")
        if style.has_target(tables.runs):
            table = style.of_all_seeds(table)
        table.insert(0, "x", table["epoch"])
        table.insert(0, "series", role)
        linestyle = ["-", "--", "-.", ":"][position % 4]
        style.curve(axes, table, color=color, label=tables.labels[role], linestyle=linestyle)
        numbers.append(table)
    table = pd.concat(numbers, ignore_index=True)
    axes.set(xlabel="Epoch of tuning")
    style.finish_curves(axes, tables.title, tables.runs, table)
    return Drawing(picture, table)
