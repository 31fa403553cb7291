"""Figures 2, 8, 9 and 10: final accuracy against the length of pretraining."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.analysis.summary.runs import FULL


def draw(tables: Tables) -> Drawing:
    """Mean and standard deviation over seeds by pretraining epochs; a band for the cold runs."""
    picture = style.picture()
    axes = picture.subplots()
    cold = style.cold_band(axes, tables.runs, tables.labels)
    warm = tables.runs[tables.runs["role"] != "cold"]
    table = style.over_seeds(warm, ["role", "pretrain_epochs"], "test_accuracy")
    numbers = pd.concat([cold, table], ignore_index=True)
    for position, (role, line) in enumerate(table.groupby("role", sort=False), start=1):
        style.points(axes, line, "pretrain_epochs", position, label=tables.labels[str(role)])
    style.single_seeds(axes, warm, "pretrain_epochs")
    mark_full_accuracy(axes, tables)
    lengths = sorted(warm["pretrain_epochs"].unique())
    if lengths:
        style.log_axis(axes, {length: str(length) for length in lengths})
    axes.set(xlabel="Epochs of pretraining", ylabel=style.FINAL_ACCURACY)
    style.finish(axes, tables.title, numbers)
    axes.legend(loc="best")
    return Drawing(picture, numbers)


def mark_full_accuracy(axes: Axes, tables: Tables) -> None:
    """Mark the first epoch of pretraining with 100% training accuracy, the mean over seeds.

    Left out where a seed never gets there.
    """
    pretraining = tables.curves[tables.curves["kind"] == "pretrain"]
    full = pretraining[pretraining["train_accuracy"] >= FULL].groupby("seed")["epoch"].min()
    if len(full) == pretraining["seed"].nunique():
        axes.axvline(
            full.mean(), color="0.4", linewidth=1, linestyle=":",
            label="100% training accuracy\nin pretraining",
        )  # fmt: skip
