"""Remedies as arms: how accurate each is, warm and from scratch, and for how many multiply-adds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from plasticity.analysis.figures import Drawing, Tables, style
from plasticity.analysis.summary.costs import costs
from plasticity.analysis.summary.roles import stages_of
from plasticity.runs.roles import COLD, COLD_LONG, WARM, arm_of

HOLLOW: dict[str, Any] = {"markerfacecolor": "white", "zorder": 2}

BELOW = 0.6
"""How far below the final accuracies the axis goes, in parts of their range: earlier epochs are
lower, and the first ones far away."""


@dataclass(frozen=True)
class Final:
    """Where the runs of a role end: accuracy and deviation in per cent."""

    role: str
    accuracy: float
    deviation: float

    @property
    def arm(self) -> str:
        """Its arm; plain warm and cold are two of these."""
        return arm_of(self.role) or self.role

    @property
    def is_warm(self) -> bool:
        """Whether it was pretrained."""
        return self.role.startswith(WARM)

    @property
    def bar(self) -> float:
        """One standard deviation; nothing where one seed has none."""
        return 0.0 if math.isnan(self.deviation) else self.deviation


def draw(tables: Tables) -> Drawing:
    """Left, where each arm ends, joined to the same from scratch; right, accuracy against cost."""
    table = tables.arms[tables.arms["accuracy"].notna()].copy()
    style.require_points(table, "runs that did not diverge")
    for name in ("accuracy", "deviation", "low", "high"):
        table[name] *= 100
    finals = [
        Final(*numbers)
        for numbers in table[["role", "accuracy", "deviation"]].itertuples(index=False)
    ]
    course = _course(tables, table)
    arms = _by_accuracy(finals)
    picture = style.picture(max(8.0, 0.32 * len(arms) + 5.0), 5.0)
    left, right = picture.subplots(1, 2, sharey=True, width_ratios=[0.32 * len(arms) + 0.4, 4.0])
    _draw_finals(left, finals, arms)
    names = [_called(arm, tables.labels) for arm in arms]
    left.set_xticks(range(len(arms)), names, rotation=60, ha="right", rotation_mode="anchor")
    left.set(ylabel=style.FINAL_ACCURACY)
    _draw_course(right, course, tables.labels)
    low = min(final.accuracy - final.bar for final in finals)
    high = max(final.accuracy + final.bar for final in finals)
    left.set_ylim(low - BELOW * (high - low), high + 0.15 * (high - low))
    picture.legend(**style.entries((left, right)), loc="outside lower center", ncols=3, fontsize=8)
    style.head(picture, tables.title, style.seeds_note(table["n"], "error bars and band"))
    return Drawing(picture, pd.concat([table, course], ignore_index=True))


def _by_accuracy(finals: Iterable[Final]) -> list[str]:
    """The arms, the most accurate last; each by its warm runs, where it has some."""
    ordered = sorted(finals, key=lambda final: (final.is_warm, final.accuracy))
    told = {final.arm: final.accuracy for final in ordered}
    return sorted(told, key=lambda arm: told[arm])


def _draw_finals(axes: Axes, finals: Sequence[Final], arms: Sequence[str]) -> None:
    """An arm a column: warm filled, the same from scratch hollow."""
    for place, arm in enumerate(arms):
        its = [final for final in finals if final.arm == arm]
        axes.plot([place] * len(its), [final.accuracy for final in its], color="0.6", zorder=1)
        for final in its:
            _draw_final(axes, place, final)
    for cold in (final for final in finals if final.role == COLD):
        low, high = cold.accuracy - cold.bar, cold.accuracy + cold.bar
        axes.axhspan(low, high, color=style.COLD, alpha=0.15, linewidth=0)
        axes.axhline(cold.accuracy, color=style.COLD, linewidth=1, zorder=0)
    axes.set_xlim(-0.6, len(arms) - 0.4)


def _draw_final(axes: Axes, x: float, final: Final) -> None:
    look: dict[str, Any] = {"color": style.COLD, "marker": "o", "label": "from scratch"}
    if final.is_warm:
        look = {"color": style.OTHERS[0], "marker": "s", "label": "pretrained"}
    elif final.role not in (COLD, COLD_LONG):
        look |= {**HOLLOW, "label": "from scratch, the same method"}
    line: dict[str, Any] = {"markersize": 5.5, "capsize": 2, "linestyle": "none", "zorder": 3}
    axes.errorbar(x, final.accuracy, yerr=final.bar, **(line | look))


def _course(tables: Tables, table: pd.DataFrame) -> pd.DataFrame:
    """Mean test accuracy in per cent, by role and epoch, and what it has cost by then.

    Of the epochs that all seeds have; `on_front` is whether no role has had more for less.
    """
    setting = tables.runs["role"].map(table.set_index("role")["setting"])
    is_chosen = tables.runs["run"].map(stages_of) == setting
    chosen = tables.runs[is_chosen]
    epochs = chosen[["role", "run", "seed"]].merge(costs(chosen, tables.curves), on="run")
    mean = epochs.groupby(["role", "epoch"], sort=False).agg(
        mean=("test_accuracy", "mean"), passes=("passes", "mean"), seeds=("seed", "nunique")
    )
    mean = mean.reset_index()
    mean = mean[mean["seeds"] == mean.groupby("role")["seeds"].transform("max")]
    ended = epochs[epochs["role"] == table["role"].iloc[0]].groupby("run")["passes"].max().mean()
    mean["multiply_adds"] = mean["passes"] * (table["multiply_adds"].iloc[0] / ended)
    mean["mean"] *= 100
    # From the cheapest on; of equally cheap ones the best comes first.
    mean = mean.sort_values(["multiply_adds", "mean"], ascending=[True, False])
    mean["on_front"] = mean["mean"] > mean["mean"].cummax().shift(fill_value=-math.inf)
    return mean.drop(columns="passes")


def _draw_course(axes: Axes, course: pd.DataFrame, labels: Mapping[str, str]) -> None:
    """Every role's accuracy over its cost, and the front of those that none beats.

    Grey, but for cold, warm and those on the front.
    """
    front = course[course["on_front"]]
    ahead = [*dict.fromkeys([COLD, WARM, *front["role"]])]
    for role, line in course.groupby("role", sort=False):
        look: dict[str, Any] = {"color": "0.75", "linewidth": 0.8, "zorder": 1}
        if role in ahead:
            place = ahead.index(str(role))
            look = {"color": style.series_color(str(role), place), "linewidth": 1.4, "zorder": 2}
            look |= {"linestyle": style.DASHES[max(0, place - 1) // len(style.OTHERS)]}
            look |= {"label": labels.get(str(role), str(role))}
        axes.plot(line["multiply_adds"], line["mean"], **look)
    axes.step(
        front["multiply_adds"],
        front["mean"],
        where="post",
        color="0.2",
        linewidth=1,
        marker=".",
        markersize=5,
        zorder=3,
        label="Pareto front",
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0e}".replace("e+", "e"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="Multiply-adds since tuning began")


def _called(arm: str, labels: Mapping[str, str]) -> str:
    """What an `arm` is called: what its label has behind that of plain warm or cold runs."""
    for role in (f"{WARM}-{arm}", f"{COLD}-{arm}", arm):
        if role in labels:
            return labels[role].removeprefix(f"{labels.get(role.partition('-')[0], '')}, ")
    return arm
