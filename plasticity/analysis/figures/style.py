"""One look for all figures: readable in print, in grey, and to colour-blind readers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plasticity.core.errors import UserError
from plasticity.runs.metrics import final_epochs

RC: dict[str, Any] = {
    **sns.axes_style("ticks"),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "grid.color": "0.9",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "savefig.dpi": 200,
    "savefig.bbox": "tight",
    "svg.hashsalt": "plasticity",
}
PALETTE = sns.color_palette("colorblind")
COLD = PALETTE[0]
OTHERS = [PALETTE[position] for position in (1, 4, 3, 5, 2)]
MARKERS = "sD^vP"
WINDOW = PALETTE[2]
LEVELS = [PALETTE[position] for position in (2, 7, 5)]
"""Colours of bands other than the cold one."""
REFERENCES = {"dense": (COLD, "-"), "start": ("0.45", "--")}
"""Colour and dashes of the roles that perturbed and pretrained sub-networks are compared with: the
whole network, and the sub-networks that were set back to the initialisation."""
SINGLE_SEEDS = "single seeds"
BEGINS = (("0.1", "-."), (PALETTE[2], ":"), (PALETTE[9], (0, (5, 1, 1, 1, 1, 1))))
"""Colours and dashes of the levels of runs that were set back to an iteration, in its order."""
STEPS = "osD^vPX*"
"""Markers of series that stand for iterations, in their order."""
DASHES = ("-", "--", "-.", ":")
ACROSS: dict[str, Any] = {
    "ha": "center", "va": "center", "rotation": 20, "fontsize": 30, "color": "0.35", "alpha": 0.4,
}  # fmt: skip
"""The look of words across a whole picture."""
ACCURACY = "Test accuracy (%)"
FINAL_ACCURACY = "Test accuracy, last fifth\nof tuning (%)"
LAST_ACCURACY = "Test accuracy, last fifth\nof training (%)"
"""The same of what is called training rather than tuning."""


def series_color(role: str, position: int) -> Any:
    """The colour of the series at `position` among a figure's roles; cold runs have their own."""
    return COLD if role == "cold" else OTHERS[(position - 1) % len(OTHERS)]


def picture(width: float = 6.0, height: float = 3.8) -> Figure:
    """An empty picture of `width` x `height` inches."""
    return Figure(figsize=(width, height), layout="constrained")


def over_seeds(table: pd.DataFrame, by: list[str], value: str, scale: float = 100) -> pd.DataFrame:
    """Mean and standard deviation of `value` over seeds, in per cent, and their number.

    The column ``deviation`` of a single seed is not a number. `scale` is what the values are
    multiplied by, where they are no fractions.
    """
    groups = table.groupby(by, sort=False, dropna=False)
    if (groups["seed"].count() > groups["seed"].nunique()).any():
        raise UserError(
            "a point of this figure would mix several runs of one seed: they differ in more than "
            f"{', '.join(by)}; give each its own role, or draw them with another module"
        )
    return pd.DataFrame(
        {
            "mean": groups[value].mean() * scale,
            "deviation": groups[value].std(ddof=1) * scale,
            "n": groups["seed"].nunique(),
        }
    ).reset_index()


def cold_band(axes: Axes, runs: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """Draw the level of the cold runs, if there are any, with a band of one standard deviation."""
    return band(axes, runs, labels, "cold", COLD)


def band(
    axes: Axes,
    runs: pd.DataFrame,
    labels: Mapping[str, str],
    role: str,
    color: Any,
    *,
    upright: bool = False,
    **line: Any,
) -> pd.DataFrame:
    """Draw the level of the runs in `role` as a line with a band of one standard deviation.

    `upright` is for axes that have the accuracy from left to right.
    """
    level = over_seeds(runs[runs["role"] == role], ["role"], "test_accuracy")
    draw_line, draw_span = (axes.axvline, axes.axvspan) if upright else (axes.axhline, axes.axhspan)
    for mean, std in zip(level["mean"], level["deviation"], strict=True):
        draw_line(mean, color=color, label=labels[role], zorder=1, **{"linewidth": 1.5} | line)
        if not math.isnan(std):
            low, high = mean - std, mean + std
            draw_span(low, high, color=color, alpha=0.15, linewidth=0, zorder=0)
    return level


def levels(
    axes: Axes, runs: pd.DataFrame, labels: Mapping[str, str], *, upright: bool = False
) -> pd.DataFrame:
    """Draw the runs in the roles of `REFERENCES` as bands."""
    drawn = [
        band(axes, runs, labels, role, color, upright=upright, linestyle=dashes)
        for role, (color, dashes) in REFERENCES.items()
    ]
    return pd.concat(drawn, ignore_index=True)


def by_iteration(iterations: Iterable[int]) -> dict[int, dict[str, Any]]:
    """A colour and a marker for each of `iterations`, the later the lighter."""
    found = sorted(set(iterations))
    shades = colormaps["inferno"]
    return {
        int(iteration): {
            "color": shades(0.05 + 0.75 * position / max(len(found) - 1, 1)),
            "marker": STEPS[position % len(STEPS)],
        }
        for position, iteration in enumerate(found)
    }


def set_back(label: str, iteration: int) -> str:
    """What runs are called that begin at the state of an `iteration`, by their role's `label`."""
    return f"{label} k = {iteration}" if iteration else f"{label} (k = 0)"


def points(axes: Axes, table: pd.DataFrame, x: str, position: int, **line: Any) -> None:
    """Draw `mean` by column `x` with bars of one standard deviation, as the series at `position`.

    The first series stands at position 1; cold runs have position 0.
    """
    style: dict[str, Any] = {
        "color": OTHERS[(position - 1) % len(OTHERS)] if position else COLD,
        "marker": MARKERS[(position - 1) % len(MARKERS)] if position else "o",
        "markersize": 5,
        "linewidth": 1.3,
        "capsize": 3,
        "zorder": 3,
    }
    axes.errorbar(table[x], table["mean"], yerr=table["deviation"].fillna(0), **style | line)


def single_seeds(
    axes: Axes, runs: pd.DataFrame, x: str, value: str = "test_accuracy", *, upright: bool = False
) -> None:
    """Draw every run's final accuracy, or another fraction, as a small grey point.

    `upright` is for axes that have it from left to right, and column `x` upwards.
    """
    percents = runs[value] * 100
    place = (percents, runs[x]) if upright else (runs[x], percents)
    axes.scatter(*place, s=9, color="0.45", alpha=0.6, linewidth=0, zorder=2, label=SINGLE_SEEDS)


def curve(axes: Axes, curve: pd.DataFrame, **line: Any) -> None:
    """Draw the mean test accuracy by `x` with a band of one standard deviation over seeds."""
    axes.plot(curve["x"], curve["mean"], linewidth=1.4, **line)
    low, high = curve["mean"] - curve["deviation"], curve["mean"] + curve["deviation"]
    axes.fill_between(curve["x"], low, high, color=line["color"], alpha=0.2, linewidth=0)


def log_axis(axes: Axes, ticks: Mapping[float, str]) -> None:
    """A logarithmic x axis with the labels of `ticks`, and no ticks besides."""
    axes.set_xscale("log")
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()


def has_target(runs: pd.DataFrame) -> bool:
    """Whether some of `runs` were to stop at a training accuracy, each at an epoch of its own."""
    return "target_reached" in runs and bool(runs["target_reached"].notna().any())


def of_all_seeds(curve: pd.DataFrame) -> pd.DataFrame:
    """Of the mean `curve` of runs with a target the epochs that all seeds were trained for.

    Behind them it would be that of the slower ones alone.
    """
    found: pd.DataFrame = curve[curve["n"] == curve["n"].max()]
    return found


def mark_window(axes: Axes, epochs: int) -> None:
    """Mark the last epochs, over which the final accuracy is taken."""
    window = final_epochs(epochs)
    axes.axvspan(
        epochs - window + 0.5,
        epochs + 0.5,
        color=WINDOW,
        alpha=0.12,
        linewidth=0,
        label=f"last {window} epochs",
    )


def finish_curves(axes: Axes, title: str, runs: pd.DataFrame, curves: pd.DataFrame) -> None:
    """What all figures of learning curves end with: the marked window, title, note, legend.

    Runs with a target have each a window of their own: none is marked.
    """
    if not has_target(runs):
        mark_window(axes, int(runs["epochs"].max()))
    axes.set(ylabel=ACCURACY)
    finish(axes, title, curves)
    axes.legend(loc="lower right")


def finish(axes: Axes, title: str, points: pd.DataFrame) -> None:
    """The title of a figure, and below it how many seeds its points stand for."""
    axes.set_title(f"{title}\n", loc="left")
    axes.text(0, 1.02, seeds_note(points["n"]), transform=axes.transAxes, fontsize=8.5)


def head(picture: Figure, title: str, note: str) -> None:
    """The title of a figure of several panels, and below it a `note` such as that on seeds."""
    picture.suptitle(f"{title}\n{note}", x=0.01, ha="left", fontsize=10.5)


def seeds_note(counts: pd.Series, spread: str = "error bars and bands") -> str:
    """How many seeds stand behind a figure, in words, and what shows their `spread`."""
    low, high = int(counts.min()), int(counts.max())
    number = str(low) if low == high else f"{low} to {high}"
    return f"{number} seed{'s' if high > 1 else ''}; {spread}: standard deviation"


def entries(axes: Iterable[Axes], *last: str) -> dict[str, Any]:
    """What a legend of `axes` says: every label once, single seeds and then `last` at the end."""
    found: dict[str, Any] = {}
    for one in axes:
        handles, labels = one.get_legend_handles_labels()
        found = dict(zip(labels, handles, strict=True)) | found
    ends = [label for label in (SINGLE_SEEDS, *last) if label in found]
    chosen = [*(label for label in found if label not in ends), *ends]
    return {"labels": chosen, "handles": [found[label] for label in chosen]}


class NothingToDrawError(UserError):
    """A figure of whose runs none is of use to it."""


def require_points(table: pd.DataFrame, what: str) -> None:
    """Raise `NothingToDrawError` where nothing of `what` a figure needs is in `table`."""
    if table.empty:
        raise NothingToDrawError(f"this figure has nothing to draw: it needs {what}")
