"""`early_sizes`: perturbed sub-networks by how far their weights were moved."""

from __future__ import annotations

import pandas as pd

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.analysis.summary.runs import PERTURBATION

COLUMNS = ["role", "begins", *PERTURBATION, "seed", "perturbation"]


def draw(tables: Tables) -> Drawing:
    """A point a run, a panel an iteration k, a colour and a marker a kind of perturbation."""
    runs = tables.runs
    moved = runs[~runs["role"].isin(style.REFERENCES)].dropna(subset="perturbation")
    style.require_points(moved, f"sub-networks in roles besides {', '.join(style.REFERENCES)}")
    iterations = sorted(moved["begins"].unique())
    roles = list(moved["role"].unique())
    perturbed = [role for role in roles if role != "unchanged"]
    picture = style.picture(max(5.6, 1.6 + 3.0 * len(iterations)), 4.8)
    panels = picture.subplots(1, len(iterations), sharex=True, sharey=True, squeeze=False)[0]
    for axes, begins in zip(panels, iterations, strict=True):
        levels = style.levels(axes, runs, tables.labels)
        for role in roles:
            points = moved[(moved["role"] == role) & (moved["begins"] == begins)]
            position = perturbed.index(role) if role in perturbed else 0
            look = (
                {
                    "color": style.OTHERS[position % len(style.OTHERS)],
                    "marker": style.MARKERS[position % len(style.MARKERS)],
                }
                if role in perturbed
                else {"color": style.BEGINS[0][0], "marker": "o"}
            )
            axes.scatter(
                points["perturbation"], points["test_accuracy"] * 100, s=24, alpha=0.75,
                linewidth=0, label=tables.labels[role], zorder=3, clip_on=False, **look,
            )  # fmt: skip
        axes.set(xlabel="Size: standard deviation of the\nchange of the weights left")
        axes.set_title(f"k = {begins}", loc="left", fontsize=9.5)
    largest = moved["perturbation"].max() or 1.0
    panels[0].set_xlim(-0.04 * largest, 1.04 * largest)
    panels[0].set_ylabel(style.LAST_ACCURACY)
    picture.legend(**style.entries(panels), loc="outside lower center", ncols=2)
    counts = moved.groupby(["role", "begins"])["seed"].nunique()
    style.head(
        picture, tables.title, f"a point a run; {style.seeds_note(pd.Series(counts), 'bands')}"
    )
    numbers = moved[COLUMNS].assign(test_accuracy=moved["test_accuracy"] * 100)
    parts = [part for part in (levels, numbers) if len(part)]
    return Drawing(picture, pd.concat(parts, ignore_index=True))
