"""Figure 5: accuracy, cold and warm, and the gap over depth and width."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.core.errors import UserError


def draw(tables: Tables) -> Drawing:
    """Above: accuracy by width, a panel a depth. Below: cold minus warm, paired by seed."""
    runs = tables.runs
    models = runs["run"].str.split("/").str[1]
    sizeless = runs[["depth", "width"]].isna().any(axis=1)
    if sizeless.any():
        model = models[sizeless].iloc[0]
        raise UserError(
            f"draw: capacity has a place for each depth and width, and model {model} states "
            "neither; take a family with both, such as resnet-d{depth}w{width}, or state them in "
            "the facts of your own"
        )
    residual = models.str.startswith("resnet").all()
    depths = sorted(runs["depth"].unique())
    table = style.over_seeds(runs, ["role", "depth", "width"], "test_accuracy")
    gaps = style.over_seeds(paired_gaps(runs), ["role", "depth", "width"], "gap")
    picture = style.picture(max(6.0, 2.0 * len(depths) + 1.5), 5.2)
    panels = picture.subplots(2, len(depths), sharex=True, sharey="row", squeeze=False)
    for depth, upper, lower in zip(depths, *panels, strict=True):
        _panel(upper, tables, table[table["depth"] == depth])
        _panel(lower, tables, gaps[gaps["depth"] == depth])
        blocks = f"{depth} block{'s' if depth > 1 else ''} a module"
        upper.set_title(blocks if residual else f"Depth {depth}", fontsize=9)
        lower.axhline(0, color="0.4", linewidth=0.8)
        style.log_axis(lower, {width: str(width) for width in sorted(runs["width"].unique())})
    panels[0, 0].set(ylabel=style.FINAL_ACCURACY)
    panels[1, 0].set(ylabel="Gap: cold minus\nwarm (points)")
    width = "Width w: channels of the first module" if residual else "Width"
    picture.supxlabel(width, fontsize=10)
    style.head(picture, tables.title, style.seeds_note(table["n"]))
    panels[0, -1].legend(loc="best")
    numbers = pd.concat(
        [table.assign(quantity="test accuracy"), gaps.assign(quantity="gap")], ignore_index=True
    )
    return Drawing(picture, numbers)


def paired_gaps(runs: pd.DataFrame) -> pd.DataFrame:
    """Cold minus each other role, by size and seed, in the column `gap` as a fraction."""
    keys = ["depth", "width", "seed"]
    cold = runs[runs["role"] == "cold"].set_index(keys)["test_accuracy"].rename("cold")
    warm = runs[runs["role"] != "cold"].join(cold, on=keys, how="inner")
    warm = warm.reset_index(drop=True)  # of no warm runs, it would be named like the columns
    return warm.assign(gap=warm["cold"] - warm["test_accuracy"])


def _panel(axes: Axes, tables: Tables, table: pd.DataFrame) -> None:
    roles = list(tables.runs["role"].unique())
    for role, line in table.groupby("role", sort=False):
        position = roles.index(role)
        label, dashes = tables.labels[str(role)], style.DASHES[position % len(style.DASHES)]
        line = line.sort_values("width")
        style.points(axes, line, "width", position, label=label, linestyle=dashes)
