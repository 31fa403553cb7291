"""`early_telemetry`: what happens to the weights in the first iterations of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.analysis.reported import BORDERS
from plasticity.measures.quantities import QUANTITIES, TRACE

FEW = 40
"""Up to so many points on a line are marked."""


@dataclass(frozen=True)
class Panel:
    """Quantities of `measures.quantities` that share axes, with what tells them apart."""

    axis: str
    unit: str
    quantities: Mapping[str, str]
    scale: float = 1


ENDS = ("to the initial ones", "to the final ones")
PANELS = (
    Panel("Test accuracy (%)", "per cent", {"test_accuracy": ""}, 100),
    Panel("Test loss (nats)", "nats", {"test_loss": ""}),
    Panel("Mean magnitude\nof weights", "weight", {"weight_magnitude": ""}),
    Panel("Gradient magnitude\n(loss per weight)", "loss per weight",
          {"gradient_magnitude": ""}),
    Panel("Signs changed since\nthe start (% of weights)", "per cent", {"sign_change_share": ""},
          100),
    Panel("Single weights\n(seed {seed})", "weight", {}),
    Panel("L2 distance of weights", "weight",
          {"distance_to_initial": ENDS[0], "distance_to_final": ENDS[1]}),
    Panel("Cosine similarity\nof weights", "cosine",
          {"cosine_to_initial": ENDS[0], "cosine_to_final": ENDS[1]}),
)  # fmt: skip
"""From the top left to the bottom right; the one without quantities has the single weights.
Below them stand those of extensions."""


def panels_of_extensions() -> list[Panel]:
    """A panel for each quantity that an extension declares."""
    return [
        Panel(f"{name.replace('_', ' ')}\n({one.unit})", one.unit, {name: ""})
        for name, one in QUANTITIES.items()
        if not one.measure.__module__.startswith("plasticity.")
    ]


def draw(tables: Tables) -> Drawing:
    """A panel a quantity over logarithmic iterations: mean and standard deviation over seeds."""
    observed = tables.observed.dropna(subset="value")
    style.require_points(observed, "what was observed in the first iterations of its runs")
    roles = list(observed["role"].unique())
    colors = {
        role: style.COLD if position == 0 else style.OTHERS[(position - 1) % len(style.OTHERS)]
        for position, role in enumerate(roles)
    }
    last = int(observed["iteration"].max())
    borders = [border for border in BORDERS if border <= last]
    chosen = [*PANELS, *panels_of_extensions()]
    rows = -(-len(chosen) // 2)
    picture = style.picture(7.6, 2.2 * rows)
    panels = picture.subplots(rows, 2, sharex=True)
    numbers = []
    for axes, panel in zip(panels.flat, chosen, strict=False):
        if panel.quantities:
            numbers.append(_quantities(axes, panel, observed, colors))
        else:
            numbers.append(_traces(axes, panel, observed[observed["role"] == roles[0]]))
        if numbers[-1].empty:
            axes.text(0.5, 0.5, "not observed", transform=axes.transAxes, ha="center", color="0.4")
        for border in borders:
            axes.axvline(border, color="0.6", linewidth=0.9, linestyle=":", zorder=0)
        _logarithmic_from_1(axes, last)
    table = pd.concat([part for part in numbers if len(part)], ignore_index=True)

    over_seeds = table[~table["quantity"].str.startswith(TRACE)]
    note = style.seeds_note((over_seeds if len(over_seeds) else table)["n"], "bands")
    if len(roles) == 1:
        note = f"{tables.labels[roles[0]]}; {note}"
    else:
        handles = [Line2D([], [], color=colors[role], label=tables.labels[role]) for role in roles]
        picture.legend(handles=handles, loc="outside lower center", ncols=min(len(roles), 4))
    if borders:
        note += f"; dotted: iteration{'s' * (len(borders) > 1)} {' and '.join(map(str, borders))}"
    style.head(picture, tables.title, note)
    lowest = panels.flat[len(chosen) - 2 : len(chosen)]
    for axes in lowest:
        axes.set(xlabel="Iteration (logarithmic from 1 on)")
        axes.tick_params(labelbottom=True)
    for axes in panels.flat[len(chosen) :]:
        axes.set_visible(False)
    return Drawing(picture, table)


def _quantities(
    axes: Axes, panel: Panel, observed: pd.DataFrame, colors: Mapping[str, Any]
) -> pd.DataFrame:
    """The quantities of a panel, a colour a role and dashes a quantity."""
    drawn = observed[observed["quantity"].isin(list(panel.quantities))]
    table = style.over_seeds(drawn, ["role", "quantity", "iteration"], "value", panel.scale)
    table.insert(2, "unit", panel.unit)
    for (quantity, label), dashes in zip(panel.quantities.items(), style.DASHES, strict=False):
        for role, color in colors.items():
            line = table[(table["quantity"] == quantity) & (table["role"] == role)]
            line = line.sort_values("iteration").rename(columns={"iteration": "x"})
            marks = {"marker": "o", "markersize": 3} if len(line) <= FEW else {}
            style.curve(axes, line, color=color, linestyle=dashes, **marks)
        if label and (table["quantity"] == quantity).any():
            color = next(iter(colors.values())) if len(colors) == 1 else "0.3"
            axes.plot([], [], color=color, linestyle=dashes, linewidth=1.4, label=label)
    if axes.get_legend_handles_labels()[0]:
        # Above the panel: whatever the curves do, they would meet it inside.
        axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, columnspacing=1.2)
    axes.set_ylabel(panel.axis)
    return table


def _traces(axes: Axes, panel: Panel, observed: pd.DataFrame) -> pd.DataFrame:
    """The single weights of the first seed."""
    seed = observed["seed"].min()
    drawn = observed[observed["quantity"].str.startswith(TRACE) & (observed["seed"] == seed)]
    table = style.over_seeds(drawn, ["role", "quantity", "iteration"], "value", panel.scale)
    table.insert(2, "unit", panel.unit)
    for position, (_, line) in enumerate(table.groupby("quantity", sort=False)):
        line = line.sort_values("iteration")
        color = style.PALETTE[position % len(style.PALETTE)]
        axes.plot(line["iteration"], line["mean"], color=color, linewidth=1)
    axes.set_ylabel(panel.axis.format(seed=seed))
    return table


def _logarithmic_from_1(axes: Axes, last: int) -> None:
    """An axis of iterations to the `last`, on which 0 is to be seen."""
    axes.set_xscale("symlog", linthresh=1, linscale=0.4)
    powers = [10**power for power in range(len(str(last)))]
    axes.set_xticks([0, *powers], ["0", *(f"{power:,}" for power in powers)])
    axes.set_xlim(-0.15, last * 1.15)
    axes.minorticks_off()
