"""`early_tickets`: sub-networks found by pruning: accuracy by weights left."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from plasticity.analysis.figures import Drawing, Tables, style

PUBLISHED_DENSITIES = (100, 41.0, 26.2, 16.8, 10.7, 6.9, 4.4)
PUBLISHED = {
    0: (91.53, 90.20, 89.39, 88.50, 87.17, 85.41, 83.26),
    500: (91.5, 91.7, 91.5, 91.2, 90.3, 88.1, 85.8),
    1000: (91.65, 91.85, 91.85, 91.67, 91.04, 89.86, 87.06),
    2000: (91.4, 91.8, 91.8, 91.6, 90.9, 89.9, 88.5),
}
"""Test accuracy in per cent by the iteration that sub-networks were set back to, for ResNet-20 on
CIFAR-10 after 160 epochs; by the per cent of weights that `PUBLISHED_DENSITIES` says.

An independent reimplementation (S): k = 0 and k = 1000 are as printed, the others were read off a
plot, within 0.2.
"""

DASHED = "published by others,\nread off within 0.2"

TICK_SPACE = 0.09
"""The part of the axis that lies between two of its labels, at least."""


def draw(tables: Tables) -> Drawing:
    """A line an iteration k, with the whole network as a band; published numbers dashed.

    Runs that begin at the initialisation have k = 0.
    """
    runs = tables.runs
    sparse = runs[runs["role"] != "dense"]
    style.require_points(sparse, "sub-networks, such as those of the roles start and rewound")
    by = ["role", "begins", "level"]
    table = style.over_seeds(sparse, by, "test_accuracy")
    table["density"] = (
        sparse.groupby(by, sort=False, dropna=False)["density"].mean().to_numpy() * 100
    )
    table = table.sort_values(["begins", "density"], ascending=[True, False], kind="stable")

    picture = style.picture(7.8, 4.2)
    axes = picture.subplots()
    dense = style.band(axes, runs, tables.labels, "dense", style.COLD).assign(density=100.0)
    looks = style.by_iteration(sparse["begins"])
    roles = list(sparse["role"].unique())
    for (k, role), line in table.groupby(["begins", "role"], sort=False):
        begins = int(str(k))
        label = style.set_back(tables.labels[str(role)], begins)
        # Start and rewound are one series; what comes beside them has other dashes.
        others = [one for one in roles if one not in ("start", "rewound")]
        dashes = style.DASHES[(others.index(role) + 2) % 4 if role in others else 0]
        style.points(
            axes, line, "density", 1, **looks[begins],
            label=label, linestyle=dashes, capsize=2, markersize=4.5,
        )  # fmt: skip
    numbers = pd.concat([dense, table], ignore_index=True)
    style.finish(axes, tables.title, numbers)
    numbers["source"] = "this study"
    if set(runs["dataset"]) == {"cifar10"} and set(runs["model"]) == {"resnet20"}:
        published = _published(set(looks))
        _draw_published(axes, published, looks)
        numbers = pd.concat([numbers, published], ignore_index=True)

    ticks = spaced([100, *numbers["density"]])
    axes.set_xscale("log")
    axes.set_xlim(100 * 1.06, min(ticks) / 1.06)
    axes.set_xticks(ticks, ["100" if tick > 99.95 else f"{tick:.1f}" for tick in ticks])
    axes.minorticks_off()
    axes.set(xlabel="Weights left (%)", ylabel=style.LAST_ACCURACY)
    axes.legend(**style.entries([axes], DASHED), loc="center left", bbox_to_anchor=(1.0, 0.5))
    return Drawing(picture, numbers)


def spaced(densities: Iterable[float]) -> list[float]:
    """Those of `densities`, from the first and highest down, that leave room for their labels.

    The lowest is always one of them.
    """
    # As printed: a density may differ by a weight from one run to another.
    found = sorted({round(density, 1) for density in densities}, reverse=True)
    space = TICK_SPACE * math.log(found[0] / found[-1])
    labelled = [found[0]]
    for density in found[1:]:
        if math.log(labelled[-1] / density) >= space:
            labelled.append(density)
    labelled[-1] = found[-1]
    return labelled


def _published(iterations: set[int]) -> pd.DataFrame:
    return pd.DataFrame(
        {"begins": begins, "density": density, "mean": mean, "source": "published by others"}
        for begins, means in PUBLISHED.items()
        for density, mean in zip(PUBLISHED_DENSITIES, means, strict=True)
        if begins in iterations
    )


def _draw_published(axes: Axes, published: pd.DataFrame, looks: dict[int, dict[str, Any]]) -> None:
    line: dict[str, Any] = {"linestyle": (0, (4, 2)), "linewidth": 0.9, "alpha": 0.6}
    if published.empty:
        return
    for begins, means in published.groupby("begins"):
        color = looks[int(str(begins))]["color"]
        axes.plot(means["density"], means["mean"], color=color, zorder=2, **line)
    axes.plot([], [], color="0.3", label=DASHED, **line)
