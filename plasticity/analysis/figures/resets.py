"""Figure 6: accuracy after re-drawing a subset of modules between pretraining and tuning."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.runs import Run


def draw(tables: Tables) -> Drawing:
    """Final accuracy for each subset; below it, the modules that were drawn anew (filled)."""
    warm = tables.runs[tables.runs["role"] != "cold"].copy()
    warm["reset_modules"] = warm["reset_modules"].fillna("")
    table = style.over_seeds(warm, ["role", "reset_modules"], "test_accuracy")
    modules = _modules(tables.runs)
    places = _places(table["role"])

    picture = style.picture(max(6.0, 0.42 * len(table) + 1.8), 4.6)
    upper, lower = picture.subplots(2, 1, sharex=True, height_ratios=[3, 1.3])
    cold = style.cold_band(upper, tables.runs, tables.labels)
    for position, (role, group) in enumerate(table.groupby("role", sort=False)):
        at = [places[index] for index in group.index]
        color = style.series_color(str(role), position + 1)
        upper.errorbar(
            at,
            group["mean"],
            yerr=group["deviation"].fillna(0),
            color=color,
            marker=style.MARKERS[position % len(style.MARKERS)],
            markersize=6,
            linestyle="none",
            capsize=3,
            label=tables.labels[str(role)],
            zorder=3,
        )
        seeds = warm[warm["role"] == role]
        where = dict(zip(group["reset_modules"], at, strict=True))
        x = [where[subset] for subset in seeds["reset_modules"]]
        upper.scatter(x, seeds["test_accuracy"] * 100, s=9, color="0.45", alpha=0.6, linewidth=0)
    upper.set(ylabel=style.FINAL_ACCURACY)
    numbers = pd.concat([cold, table], ignore_index=True)
    style.finish(upper, tables.title, numbers)
    upper.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    _draw_matrix(lower, list(table["reset_modules"]), list(places.values()), modules)
    return Drawing(picture, numbers)


def _modules(runs: pd.DataFrame) -> list[str]:
    """The modules of the largest network, by number and name."""
    names = max(runs["modules"].dropna().str.split(", "), key=len, default=[])
    models = [Run.parse(run).model for run in runs["run"]]
    declared = [model.facts.count(**model.own) or 0 for model in models]
    chosen = "+".join(runs["reset_modules"].dropna()).split("+")
    count = max([len(names), *declared, *(int(number) for number in chosen if number)])
    return [f"{at + 1} {names[at]}" if at < len(names) else f"{at + 1}" for at in range(count)]


def _places(roles: pd.Series) -> dict[int, float]:
    """A place on the axis for each row, with a space between one role and the next."""
    places: dict[int, float] = {}
    place, before = 0.0, None
    for index, role in roles.items():
        if before is not None:
            place += 1.0 if role == before else 1.7
        places[int(str(index))] = place
        before = role
    return places


def _draw_matrix(axes: Axes, subsets: list[str], places: list[float], modules: list[str]) -> None:
    for subset, place in zip(subsets, places, strict=True):
        chosen = {int(module) for module in subset.split("+") if module}
        for module in range(1, len(modules) + 1):
            face = "0.15" if module in chosen else "white"
            axes.scatter(place, module, s=42, marker="s", facecolor=face, edgecolor="0.6", zorder=2)
    axes.set_yticks(range(1, len(modules) + 1), modules)
    axes.set_ylim(0.4, len(modules) + 0.6)
    axes.set_xticks([])
    axes.grid(False)
    axes.spines[["bottom", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.set(ylabel="Module", xlabel="Modules drawn anew before tuning (filled)")
