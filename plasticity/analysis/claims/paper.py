"""The claims of Berariu et al. 2021 on what closes the gap: figures 6, 7 and 11.

Each is a function from the tables to a contrast; what each is and why is in docs/claims.md.
Those that there is a gap are declared in `plasticity.analysis.claims.gaps`, before these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

import numpy as np
import pandas as pd

from plasticity.analysis.claims.evidence import (
    Contrast,
    Evidence,
    NotJudgedError,
    compared,
    paired,
    points,
)
from plasticity.analysis.claims.gaps import BERARIU, CLAIMS
from plasticity.analysis.reported import SMALLEST_GAP

__all__ = ["BERARIU", "CLAIMS"]

CLOSED = 0.75
"""The fraction of the gap that must be regained for the gap to count as closed."""

ENOUGH = {"3", "4", "5", "6"}
"""The last four modules, which the paper says must be drawn anew, and that this is enough."""

TO_REACH = 0.95
"""The fraction of the cold run's final accuracy that counts as having tuned."""

FASTER = 0.9
"""Tuning counts as faster where it takes less than this fraction of the epochs."""

HALF_AN_EPOCH = 0.5
"""The least standard deviation of epochs counted in whole numbers: that of a number which is one of
two neighbours, each in half of the seeds. Where not every epoch is evaluated, neighbours are as far
apart as evaluations."""

TENFOLD = 10.0
RATE_TOLERANCE = 0.02
"""Rates are rounded: 0.0018 and 0.018, 0.00056 and 0.0056."""

MOST_OF_THE_GAP = 0.5
"""The fraction of the gap that must be closed for most of it to be closed."""


@CLAIMS.declare(
    "reset-few",
    "Drawing only one or two modules anew before tuning is not enough to fully recover the gap.",
    ("fig06",),
    "accuracy from scratch minus that after the reset",
    smallest=SMALLEST_GAP,
)
def reset_few(evidence: Evidence) -> Contrast:
    """Cold minus reset, for every subset of one or two modules."""
    return _reset(evidence, lambda modules: len(modules) <= 2, lambda regained, gap: gap - regained)


@CLAIMS.declare(
    "reset-top",
    "Drawing the last four or five modules anew before tuning closes the gap.",
    ("fig06",),
    "what the reset regains, minus three quarters of the gap",
)
def reset_top(evidence: Evidence) -> Contrast:
    """What is regained beyond three quarters of the gap, for the last four and the last five."""
    return _reset(
        evidence,
        lambda modules: modules in (ENOUGH, ENOUGH | {"2"}),
        lambda regained, gap: regained - CLOSED * gap,
    )


@CLAIMS.declare(
    "reset-top-needed",
    "To close the gap the last four modules must be drawn anew: nothing less does, be it one "
    "module, the first ones or fewer of the last.",
    ("fig06",),
    "three quarters of the gap, minus what the reset regains",
)
def reset_top_needed(evidence: Evidence) -> Contrast:
    """What lacks to three quarters of the gap, for every subset without all of the last four."""
    return _reset(
        evidence,
        lambda modules: not modules >= ENOUGH,
        lambda regained, gap: CLOSED * gap - regained,
    )


@CLAIMS.declare(
    "reset-speed",
    "Keeping only the first one or two modules of a pretrained network does not make tuning "
    "faster.",
    ("fig11",),
    "epochs to 95% of the final accuracy from scratch, minus nine tenths of those from scratch",
    unit="epochs",
)
def reset_speed(evidence: Evidence) -> Contrast:
    """Epochs to a given accuracy beyond nine tenths of those of the cold run, for 1 and 2 kept."""
    cold = evidence.played("fig11", "cold")
    target = points(cold).dropna() * TO_REACH
    scratch = _epochs_to(evidence, "cold", target)
    resolution = HALF_AN_EPOCH * _longest_step(evidence)
    cases, runs = [], [cold]
    for role, name in (("keep1", "module 1 kept"), ("keep2", "modules 1 and 2 kept")):
        runs.append(evidence.played("fig11", role))
        ended = points(runs[-1]).dropna().index
        kept = _epochs_to(evidence, role, target[target.index.intersection(ended)])
        pairs = pd.concat([kept, scratch], axis="columns", keys=["kept", "cold"]).dropna()
        mean = pairs.mean()
        detail = f"{mean['kept']:.1f} epochs against {mean['cold']:.1f} from scratch"
        beyond = pairs["kept"] - FASTER * pairs["cold"]
        cases.append(paired(name, beyond, detail, resolution=resolution))
    return Contrast(tuple(cases), compared(*runs))


@CLAIMS.declare(
    "rate-fixed",
    "A tenfold learning rate in tuning closes most of the gap to the network that was trained from "
    "scratch at the rate of pretraining.",
    ("fig07",),
    "half of the gap at the rate of pretraining, minus that at the tenfold rate, both to the "
    "network from scratch at the rate of pretraining",
)
def rate_fixed(evidence: Evidence) -> Contrast:
    """Both gaps to cold at the rate of pretraining."""
    return _tenfold(evidence, "rate of pretraining")


@CLAIMS.declare(
    "rate-each",
    "A tenfold learning rate in tuning closes most of the gap to the network that was trained from "
    "scratch at the same rate as is tuned at.",
    ("fig07",),
    "half of the gap at the rate of pretraining, minus that at the tenfold rate, each to the "
    "network from scratch at the same rate",
)
def rate_each(evidence: Evidence) -> Contrast:
    """Each gap to cold at the rate of tuning."""
    return _tenfold(evidence, "rate of tuning")


@CLAIMS.declare(
    "noise",
    "Early in tuning the noise of the gradients is lower after pretraining.",
    (),
    "",
    conjecture=True,
)
def noise(evidence: Evidence) -> Contrast:
    """Not measured."""
    raise NotJudgedError("not measured: no run records the noise of its gradients")


@CLAIMS.declare(
    "sharpness",
    "The minimum that is reached after a warm start is narrower.",
    (),
    "",
    conjecture=True,
)
def sharpness(evidence: Evidence) -> Contrast:
    """Not measured."""
    raise NotJudgedError("not measured: no run records the curvature at its end")


def _reset(
    evidence: Evidence,
    wanted: Callable[[set[str]], bool],
    beyond: Callable[[pd.Series, pd.Series], pd.Series],
) -> Contrast:
    """What is `beyond`, of what is regained and of the gap, for each `wanted` subset of modules."""
    cold, none = evidence.played("fig06", "cold"), evidence.played("fig06", "none")
    runs = evidence.runs["fig06"]
    runs = runs[runs["role"].isin(["alone", "top", "bottom"])].drop_duplicates("run")
    runs = runs[[wanted(set(str(modules).split("+"))) for modules in runs["reset_modules"]]]
    if runs.empty:
        raise NotJudgedError("fig06 resets no such subset of modules")
    gaps = points(cold) - points(none)
    gap = paired("the gap", gaps).values
    cases = []
    for modules, reset in runs.groupby("reset_modules", sort=False):
        pairs = pd.concat(
            [points(reset) - points(none), gaps], axis="columns", keys=["regained", "gap"]
        ).dropna()
        mean = pairs.mean()
        detail = f"regains {mean['regained']:.2f} of {mean['gap']:.2f} points"
        values = beyond(pairs["regained"], pairs["gap"])
        cases.append(paired(f"reset {modules}", values, detail, gap))
    return Contrast(tuple(cases), compared(cold, none, runs))


def _tenfold(
    evidence: Evidence, cold_at: Literal["rate of pretraining", "rate of tuning"]
) -> Contrast:
    """Half of the gap at the equal rate beyond that at the tenfold one, mean over pretrainings."""
    cold, warm = evidence.played("fig07", "cold"), evidence.played("fig07", "warm")
    scratch = points(cold, "lr").unstack("lr")
    tuned = points(warm, "pretrain_lr", "lr").unstack(["pretrain_lr", "lr"])
    equal, tenfold, used = [], [], []
    for before in sorted(warm["pretrain_lr"].unique()):
        rates = tuned[before].columns
        same, larger = _near(before, rates), _near(TENFOLD * before, rates)
        control = larger if cold_at == "rate of tuning" else same
        if same is None or larger is None or control is None:
            continue
        if {same, control} <= {*scratch.columns}:
            equal.append(scratch[same] - tuned[before, same])
            tenfold.append(scratch[control] - tuned[before, larger])
            used.append(cold[cold["lr"].isin([same, control])])
            used.append(warm[(warm["pretrain_lr"] == before) & warm["lr"].isin([same, larger])])
    if not equal:
        raise NotJudgedError(
            "fig07 has no rate of pretraining with both an equal and a tenfold one"
        )
    pairs = pd.concat(
        [_mean_of_all(equal), _mean_of_all(tenfold)], axis="columns", keys=["equal", "tenfold"]
    ).dropna()
    mean = pairs.mean()
    case = paired(
        "",
        MOST_OF_THE_GAP * pairs["equal"] - pairs["tenfold"],
        f"gap {mean['equal']:.2f} points at the equal rate, {mean['tenfold']:.2f} at a tenfold "
        f"one, to networks from scratch at the {cold_at}",
        pairs["equal"].to_numpy(),
    )
    return Contrast((case,), compared(*used))


def _epochs_to(evidence: Evidence, role: str, target: pd.Series) -> pd.Series:
    """The first epoch of tuning at which a seed of `role` reaches its `target`, in per cent.

    As far as epochs are evaluated, which the last one is. A run that never does counts as one more
    than its epochs.
    """
    curves = evidence.curves["fig11"]
    table = curves[curves["role"] == role].pivot(
        index="seed", columns="epoch", values="test_accuracy"
    )
    table = table.loc[table.index.intersection(target.index)]
    reached = (table * 100).ge(target[table.index], axis="index")
    epochs = reached.idxmax(axis="columns")
    last = table.notna().mul(table.columns, axis="columns").max(axis="columns")
    return epochs.where(reached.any(axis="columns"), last + 1)


def _longest_step(evidence: Evidence) -> float:
    """The most epochs of figure 11 from one that is evaluated to the next."""
    curves = evidence.curves["fig11"]
    evaluated = curves[curves["test_accuracy"].notna()]
    return float(np.diff(sorted({0, *evaluated["epoch"]})).max())


def _near(rate: float, rates: Iterable[float]) -> float | None:
    """The one of `rates` that is `rate` but for rounding, if there is one."""
    near = [other for other in rates if abs(other / rate - 1) <= RATE_TOLERANCE]
    return min(near, key=lambda other: abs(other / rate - 1)) if near else None


def _mean_of_all(columns: list[pd.Series]) -> pd.Series:
    """The mean of `columns` by seed; no value where one of them has none."""
    return pd.concat(columns, axis="columns").mean(axis="columns", skipna=False)
