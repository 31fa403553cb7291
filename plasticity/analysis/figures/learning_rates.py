"""Figure 7: final accuracy by the learning rates of pretraining and of tuning."""

from __future__ import annotations

import pandas as pd

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.runs.values import decimal


def draw(tables: Tables) -> Drawing:
    """Warm runs as points, a series a rate of pretraining; cold runs as a line."""
    picture = style.picture(6.4, 4.0)
    axes = picture.subplots()
    table = style.over_seeds(tables.runs, ["role", "pretrain_lr", "lr"], "test_accuracy")
    cold = table[table["role"] == "cold"].sort_values("lr")
    if len(cold):
        label = tables.labels["cold"]
        axes.plot(cold["lr"], cold["mean"], color=style.COLD, linewidth=1.5, label=label)
        low, high = cold["mean"] - cold["deviation"], cold["mean"] + cold["deviation"]
        axes.fill_between(cold["lr"], low, high, color=style.COLD, alpha=0.15, linewidth=0)
    warm = table[table["role"] != "cold"]
    series = warm.groupby(["role", "pretrain_lr"], sort=False)
    # A little apart, so that the bars of different series do not hide one another.
    middle = (series.ngroups - 1) / 2
    for position, ((role, rate), line) in enumerate(series, start=1):
        line = line.assign(x=line["lr"] * 1.04 ** (position - 1 - middle)).sort_values("lr")
        label = f"{tables.labels[str(role)]}, pretrained at {decimal(float(str(rate)))}"
        style.points(axes, line, "x", position, label=label, linestyle=":", linewidth=0.9)
    style.log_axis(axes, {rate: decimal(rate) for rate in sorted(tables.runs["lr"].unique())})
    axes.set(xlabel="Learning rate of tuning", ylabel=style.FINAL_ACCURACY)
    style.finish(axes, tables.title, table)
    axes.legend(loc="best")
    return Drawing(picture, pd.DataFrame(table))
