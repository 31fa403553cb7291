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

FINALS = ("from scratch", "from scratch, the same method", "pretrained")
"""What the markers of final accuracies stand for, in the order of their legend."""

BELOW = 0.2
"""How far below the final accuracies the axis goes, in parts of their range: earlier epochs are
lower, and the first ones far away."""

ASIDE = 0.13
"""How far from the middle of its column each of two final accuracies stands, in columns."""

FEW_TICKS = 30
"""From this ratio of costs on their axis has ticks at 1 and 3 times powers of ten."""


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
    low = min(final.accuracy - final.bar for final in finals)
    high = max(final.accuracy + final.bar for final in finals)
    bottom = max(0.0, low - BELOW * (high - low))
    left.set_ylim(bottom, high + 0.15 * (high - low))
    _draw_course(right, course, tables.labels, bottom)
    picture.legend(**style.entries((left,), *FINALS), loc="outside lower left", fontsize=8)
    picture.legend(**style.entries((right,)), loc="outside lower right", ncols=2, fontsize=8)
    style.head(picture, tables.title, style.seeds_note(table["n"], "error bars and band"))
    return Drawing(picture, pd.concat([table, course], ignore_index=True))


def _by_accuracy(finals: Iterable[Final]) -> list[str]:
    """The arms, the most accurate last; each by its warm runs, where it has some."""
    ordered = sorted(finals, key=lambda final: (final.is_warm, final.accuracy))
    told = {final.arm: final.accuracy for final in ordered}
    return sorted(told, key=lambda arm: told[arm])


def _draw_finals(axes: Axes, finals: Sequence[Final], arms: Sequence[str]) -> None:
    """An arm a column: warm filled, the same from scratch hollow, to the left of it."""
    for place, arm in enumerate(arms):
        its = [final for final in finals if final.arm == arm]
        aside = ASIDE if len(its) > 1 else 0.0
        places = [place + (aside if final.is_warm else -aside) for final in its]
        axes.plot(places, [final.accuracy for final in its], color="0.6", zorder=1)
        for x, final in zip(places, its, strict=True):
            _draw_final(axes, x, final)
    for cold in (final for final in finals if final.role == COLD):
        low, high = cold.accuracy - cold.bar, cold.accuracy + cold.bar
        axes.axhspan(low, high, color=style.COLD, alpha=0.15, linewidth=0)
        axes.axhline(cold.accuracy, color=style.COLD, linewidth=1, zorder=0)
    axes.set_xlim(-0.6, len(arms) - 0.4)


def _draw_final(axes: Axes, x: float, final: Final) -> None:
    scratch, same, pretrained = FINALS
    look: dict[str, Any] = {"color": style.COLD, "marker": "o", "label": scratch}
    if final.is_warm:
        look = {"color": style.OTHERS[0], "marker": "s", "label": pretrained}
    elif final.role not in (COLD, COLD_LONG):
        look |= {**HOLLOW, "label": same}
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


def _draw_course(
    axes: Axes, course: pd.DataFrame, labels: Mapping[str, str], bottom: float
) -> None:
    """Every role's accuracy over its cost, and the front of those that none beats.

    Grey, but for cold, warm and those on the front. Nothing below the accuracy `bottom` is seen.
    """
    seen = course[course["mean"] >= bottom]
    front = seen[seen["on_front"]]
    ahead = [*dict.fromkeys([COLD, WARM, *front["role"]])]
    lines = {str(role): line for role, line in course.groupby("role", sort=False)}
    for place, role in enumerate(ahead):
        if role not in lines:
            continue
        line = lines.pop(role)
        look: dict[str, Any] = {"color": style.series_color(role, place), "linewidth": 1.4}
        look |= {"linestyle": style.DASHES[max(0, place - 1) // len(style.OTHERS)]}
        label = labels.get(role, role)
        axes.plot(line["multiply_adds"], line["mean"], **look, label=label, zorder=2)
    for line in lines.values():
        look = {"color": "0.75", "linewidth": 0.8, "label": "the others"}
        axes.plot(line["multiply_adds"], line["mean"], **look, zorder=1)
    axes.step(
        front["multiply_adds"],
        front["mean"],
        where="post",
        color="0.2",
        linewidth=1,
        marker=".",
        markersize=3,
        zorder=3,
        label="Pareto front",
    )
    # Where no epoch that all seeds have is near the final accuracies, none is seen.
    shown = (seen if len(seen) else course)["multiply_adds"]
    first, last = shown.min(), shown.max()
    axes.set_xscale("log")
    axes.set_xlim(first / 1.1, last * 1.1)
    subs = (1.0, 3.0) if last > FEW_TICKS * first else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0e}".replace("e+", "e"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="Multiply-adds since tuning began", ylabel=style.ACCURACY)


def _called(arm: str, labels: Mapping[str, str]) -> str:
    """What an `arm` is called: what its label has behind that of plain warm or cold runs."""
    for role in (f"{WARM}-{arm}", f"{COLD}-{arm}", arm):
        if role in labels:
            return labels[role].removeprefix(f"{labels.get(role.partition('-')[0], '')}, ")
    return arm
