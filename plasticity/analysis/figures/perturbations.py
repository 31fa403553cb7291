"""`early_perturbations`: perturbed sub-networks by what was done to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.analysis.summary.runs import PERTURBATION
from plasticity.runs.values import decimal

LEVELS = (*style.REFERENCES, "unchanged")
"""The roles that the others are compared with."""
BELOW = 0.3
"""How far below its row a perturbation's single seeds stand, in rows."""
SCOPES = {"global": "among all weights", "layer": "within layers", "filter": "within filters"}


def draw(tables: Tables) -> Drawing:
    """A row a perturbation, a panel an iteration k; what they are compared with as upright bands.

    Perturbations of one role stand together below the role's label.
    """
    runs = tables.runs
    perturbed = runs[~runs["role"].isin(LEVELS)]
    style.require_points(perturbed, f"perturbed sub-networks, in roles besides {', '.join(LEVELS)}")
    by = ["role", "begins", *PERTURBATION]
    table = style.over_seeds(perturbed, by, "test_accuracy")
    table["words"] = [_words(row) for row in table.to_dict("records")]
    perturbed = perturbed.assign(words=[_words(row) for row in perturbed.to_dict("records")])
    places, ticks = _places(table, tables.labels)

    iterations = sorted(perturbed["begins"].unique())
    picture = style.picture(2.6 + 2.7 * len(iterations), 1.5 + 0.21 * (max(places.values()) + 1))
    panels = picture.subplots(1, len(iterations), sharex=True, sharey=True, squeeze=False)[0]
    numbers = [table]
    for axes, begins in zip(panels, iterations, strict=True):
        levels = style.levels(axes, runs, tables.labels, upright=True)
        unchanged = _unchanged(axes, runs[runs["begins"] == begins], tables)
        numbers += [unchanged.assign(begins=begins)]
        if begins == iterations[0]:
            numbers.insert(0, levels)
        here = perturbed[perturbed["begins"] == begins]
        _panel(axes, table[table["begins"] == begins], here, places)
        axes.set_title(f"k = {begins}", loc="left", fontsize=9.5)
        axes.grid(True, axis="x")
        axes.grid(False, axis="y")
    panels[0].set_yticks(list(ticks), list(ticks.values()))
    panels[0].set_ylim(max(places.values()) + 0.7, -0.7)
    for axes in panels:
        axes.tick_params(axis="y", length=0)
        axes.set(xlabel=style.LAST_ACCURACY)
    for tick, place in zip(panels[0].get_yticklabels(), ticks, strict=True):
        tick.set_fontweight("bold" if place not in places.values() else "normal")
    picture.legend(**style.entries(panels), loc="outside lower center", ncols=2)
    drawn = pd.concat([part for part in numbers if len(part)], ignore_index=True)
    style.head(picture, tables.title, style.seeds_note(drawn["n"]))
    return Drawing(picture, drawn.drop(columns="words"))


def _words(run: Mapping[Any, Any]) -> str:
    """What was done to the weights, in words; empty where the role says it all."""
    if isinstance(run["signs"], str):
        return f"signs: {run['signs']}, magnitudes: {run['magnitudes']}"
    if isinstance(run["scope"], str):
        return SCOPES.get(run["scope"], run["scope"])
    return f"{decimal(run['deviations'])} sigma" if run["deviations"] > 0 else ""


def _places(
    table: pd.DataFrame, labels: Mapping[str, str]
) -> tuple[dict[tuple[str, str], float], dict[float, str]]:
    """Where each perturbation of each role stands, counted downwards; and what is written where."""
    places: dict[tuple[str, str], float] = {}
    ticks: dict[float, str] = {}
    place = 0.0
    for role, group in table.groupby("role", sort=False):
        rows = list(dict.fromkeys(group["words"]))
        if rows != [""]:
            ticks[place] = labels[str(role)]
            place += 1
        for words in rows:
            places[str(role), words] = place
            ticks[place] = words or labels[str(role)]
            place += 1
        place += 0.4
    return places, ticks


def _unchanged(axes: Axes, runs: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    color, dashes = style.BEGINS[0]
    return style.band(axes, runs, tables.labels, "unchanged", color, upright=True, linestyle=dashes)


def _panel(
    axes: Axes, table: pd.DataFrame, runs: pd.DataFrame, places: dict[tuple[str, str], float]
) -> None:
    def place(rows: pd.DataFrame) -> list[float]:
        return [places[key] for key in zip(rows["role"], rows["words"], strict=True)]

    roles = list(dict.fromkeys(role for role, _ in places))
    style.single_seeds(
        axes, runs.assign(place=[at + BELOW for at in place(runs)]), "place", upright=True
    )
    for role, group in table.groupby("role", sort=False):
        position = roles.index(str(role))
        axes.errorbar(
            group["mean"],
            place(group),
            xerr=group["deviation"].fillna(0),
            color=style.OTHERS[position % len(style.OTHERS)],
            marker=style.MARKERS[position % len(style.MARKERS)],
            markersize=5,
            linestyle="none",
            capsize=3,
            zorder=3,
        )
