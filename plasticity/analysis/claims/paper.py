"""The claims of Berariu et al. 2021: each is a function from the tables to a contrast.

What each contrast is and why is in docs/claims.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pandas as pd

from plasticity.analysis import stats
from plasticity.analysis.claims.evidence import (
    Case,
    Claims,
    Contrast,
    Evidence,
    NotJudgedError,
    Paper,
    compared,
    paired,
    points,
)
from plasticity.analysis.reported import SMALLEST_GAP
from plasticity.analysis.summary.runs import FULL

BERARIU = Paper(
    "Berariu et al. 2021", "A study on the plasticity of neural networks", presumes_fit=True
)

CLAIMS = Claims(BERARIU)

EARLY = (5, 10)
"""Epochs of pretraining that the paper calls few: "5-10 for Adam"."""

CLOSED = 0.75
"""The fraction of the gap that must be regained for the gap to count as closed."""

TO_REACH = 0.95
"""The fraction of the cold run's final accuracy that counts as having tuned."""

FASTER = 0.9
"""Tuning counts as faster where it takes less than this fraction of the epochs."""

TENFOLD = 10.0
RATE_TOLERANCE = 0.02
"""Rates are rounded: 0.0018 and 0.018, 0.00056 and 0.0056."""

MOST_OF_THE_GAP = 0.5
"""The fraction of the gap that must be closed for most of it to be closed."""

LEVELS = 3
"""The fewest values of a factor over which there is a trend."""

OPTIMISERS = {
    "fig02": "Adam",
    "fig08": "RMSprop",
    "fig09": "SGD",
    "fig10": "SGD with momentum",
}


@CLAIMS.declare(
    "gap",
    "A network pretrained on half of the data and then tuned on all of it generalises worse than "
    "one trained on all of it from scratch (Adam).",
    ("fig01",),
    "gap: accuracy from scratch minus that of the warm start",
    smallest=SMALLEST_GAP,
)
def gap(evidence: Evidence) -> Contrast:
    """Cold minus warm."""
    cold, warm = evidence.played("fig01", "cold"), evidence.played("fig01", "warm")
    return Contrast((_gap("", cold, warm),), compared(cold, warm))


@CLAIMS.declare(
    "gap-optimisers",
    "The gap is there with every optimiser: Adam, RMSprop, SGD, and SGD with momentum.",
    tuple(OPTIMISERS),
    "gap at the longest pretraining",
    smallest=SMALLEST_GAP,
)
def gap_optimisers(evidence: Evidence) -> Contrast:
    """Cold minus warm at the longest pretraining, a case an optimiser."""
    cases, runs = [], []
    for figure, name in OPTIMISERS.items():
        cold, warm = evidence.played(figure, "cold"), evidence.played(figure, "warm")
        longest = warm[warm["pretrain_epochs"] == warm["pretrain_epochs"].max()]
        cases.append(_gap(name, cold, longest))
        runs.append(compared(cold, longest))
    return Contrast(tuple(cases), pd.concat(runs))


@CLAIMS.declare(
    "gap-early",
    "Five to ten epochs of pretraining, before the training accuracy of pretraining reaches 100%, "
    "are already enough for a gap (Adam).",
    ("fig02",),
    "gap after a short pretraining",
    smallest=SMALLEST_GAP,
)
def gap_early(evidence: Evidence) -> Contrast:
    """Cold minus warm at the longest of the short pretrainings that had not fitted their data."""
    cold, warm = evidence.played("fig02", "cold"), evidence.played("fig02", "warm")
    few = warm[warm["pretrain_epochs"].between(*EARLY)]
    # Where pretraining was not measured nobody knows that it had not fitted its data.
    fitted = few[~(few["pretrain_best_train_accuracy"] < FULL)]
    unfitted = few[~few["pretrain_epochs"].isin(fitted["pretrain_epochs"])]
    if unfitted.empty:
        raise NotJudgedError(
            "no pretraining of {} to {} epochs stayed below 100% training accuracy in every "
            "seed".format(*EARLY)
        )
    length = unfitted["pretrain_epochs"].max()
    early = unfitted[unfitted["pretrain_epochs"] == length]
    case = _gap("", cold, early, f"after {length} epochs of pretraining")
    return Contrast((case,), compared(cold, early))


@CLAIMS.declare(
    "gap-grows",
    "The more epochs of pretraining, the larger the gap (Adam).",
    ("fig02",),
    "growth of the gap from one length of pretraining to a tenfold one",
    unit="points per tenfold pretraining",
)
def gap_grows(evidence: Evidence) -> Contrast:
    """The slope of the gap over the logarithm of the length of pretraining."""
    cold, warm = evidence.played("fig02", "cold"), evidence.played("fig02", "warm")
    accuracy = points(warm, "pretrain_epochs").unstack("pretrain_epochs")
    gaps = -accuracy.sub(points(cold), axis="index")
    case = _trend(gaps.set_axis(np.log10(gaps.columns), axis="columns"), "lengths of pretraining")
    return Contrast((case,), compared(cold, warm))


@CLAIMS.declare(
    "gap-drift",
    "A smooth transition from half of the data to all of it still leaves a gap.",
    ("fig03",),
    "gap: accuracy from scratch minus that after the transition",
    smallest=SMALLEST_GAP,
)
def gap_drift(evidence: Evidence) -> Contrast:
    """Two controls minus drift, for every gamma.

    The controls are cold, and, where it is there, trained from scratch with the same sampling with
    replacement.
    """
    drift = evidence.played("fig03", "drift")
    controls = {"from scratch": evidence.played("fig03", "cold")}
    if (evidence.runs["fig03"]["role"] == "resampled").any():
        controls["from scratch, drawn with replacement"] = evidence.played("fig03", "resampled")
    cases = tuple(
        _gap(f"gamma = {gamma:g} against {name}", control, runs)
        for gamma, runs in drift.groupby("gamma")
        for name, control in controls.items()
    )
    return Contrast(cases, compared(drift, *controls.values()))


@CLAIMS.declare(
    "gap-stages",
    "The more stages in which the data grow, the lower the accuracy.",
    ("fig04",),
    "loss of accuracy from one number of pretraining stages to the next",
    unit="points per stage",
)
def gap_stages(evidence: Evidence) -> Contrast:
    """The slope over the number of pretraining stages, from one on, with its sign turned.

    Cold runs are left out: the step from none to one is the gap, which has a claim of its own.
    """
    uniform = evidence.played("fig04", "uniform")
    accuracy = points(uniform, "stages").unstack("stages")
    return Contrast((_trend(-accuracy, "numbers of stages"),), compared(uniform))


@CLAIMS.declare(
    "gap-imbalance",
    "The fewer of a stage's new examples are drawn uniformly, and the more by class, the lower "
    "the accuracy.",
    ("fig04",),
    "loss of accuracy from a uniform share of 1 to one of 0",
    unit="points",
)
def gap_imbalance(evidence: Evidence) -> Contrast:
    """The slope over the fraction r of new examples that are drawn uniformly."""
    imbalanced = evidence.played("fig04", "imbalanced")
    accuracy = points(imbalanced, "ratio").unstack("ratio")
    return Contrast((_trend(accuracy, "uniform shares"),), compared(imbalanced))


@CLAIMS.declare(
    "gap-capacity",
    "The gap stays at every depth and width of the network.",
    ("fig05",),
    "gap: accuracy from scratch minus that of the warm start",
    smallest=SMALLEST_GAP,
)
def gap_capacity(evidence: Evidence) -> Contrast:
    """Cold minus warm, a case a size."""
    size = ["depth", "width"]
    cold, warm = evidence.played("fig05", "cold"), evidence.played("fig05", "warm")
    cases, runs = [], []
    for (depth, width), tuned in warm.groupby(size):
        scratch = cold[(cold["depth"] == depth) & (cold["width"] == width)]
        cases.append(_gap(f"depth {depth:.0f}, width {width:.0f}", scratch, tuned))
        runs.append(compared(scratch, tuned))
    if not cases:
        raise NotJudgedError("fig05 has no networks of known depth and width")
    return Contrast(tuple(cases), pd.concat(runs))


@CLAIMS.declare(
    "reset-few",
    "Drawing only one or two modules anew before tuning does not close the gap.",
    ("fig06",),
    "three quarters of the gap, minus what the reset regains",
)
def reset_few(evidence: Evidence) -> Contrast:
    """What lacks to three quarters of the gap, for every subset of one or two modules."""
    contrast = _regained(evidence, lambda modules: len(modules) <= 2)
    cases = tuple(replace(case, values=-case.values) for case in contrast.cases)
    return Contrast(cases, contrast.runs)


@CLAIMS.declare(
    "reset-top",
    "Drawing the last four or five modules anew before tuning closes the gap.",
    ("fig06",),
    "what the reset regains, minus three quarters of the gap",
)
def reset_top(evidence: Evidence) -> Contrast:
    """What is regained beyond three quarters of the gap, for the last four and the last five."""
    return _regained(evidence, lambda modules: modules in (["3", "4", "5", "6"], [*"23456"]))


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
    target = points(cold) * TO_REACH
    scratch = _epochs_to(evidence, "cold", target)
    cases, runs = [], [cold]
    for role, name in (("keep1", "module 1 kept"), ("keep2", "modules 1 and 2 kept")):
        runs.append(evidence.played("fig11", role))
        points(runs[-1])  # refuses several runs of a seed
        kept = _epochs_to(evidence, role, target)
        pairs = pd.concat([kept, scratch], axis="columns", keys=["kept", "cold"]).dropna()
        mean = pairs.mean()
        detail = f"{mean['kept']:.1f} epochs against {mean['cold']:.1f} from scratch"
        cases.append(paired(name, pairs["kept"] - FASTER * pairs["cold"], detail))
    return Contrast(tuple(cases), compared(*runs))


@CLAIMS.declare(
    "rate",
    "A tenfold learning rate in tuning closes most of the gap.",
    ("fig07",),
    "half of the gap at the rate of pretraining, minus the gap at the tenfold rate",
)
def rate(evidence: Evidence) -> Contrast:
    """Half of the gap at the equal rate beyond that at the tenfold one, mean over pretrainings."""
    cold, warm = evidence.played("fig07", "cold"), evidence.played("fig07", "warm")
    scratch = points(cold, "lr").unstack("lr")
    tuned = points(warm, "pretrain_lr", "lr").unstack(["pretrain_lr", "lr"])
    equal, tenfold, used = [], [], []
    for before in sorted(warm["pretrain_lr"].unique()):
        with_cold = [lr for lr in tuned[before].columns if lr in scratch.columns]
        same, larger = _near(before, with_cold), _near(TENFOLD * before, with_cold)
        if same is not None and larger is not None:
            equal.append(scratch[same] - tuned[before, same])
            tenfold.append(scratch[larger] - tuned[before, larger])
            lrs = [same, larger]
            used.append(cold[cold["lr"].isin(lrs)])
            used.append(warm[(warm["pretrain_lr"] == before) & warm["lr"].isin(lrs)])
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
        f"gap {mean['equal']:.2f} points at the equal rate, {mean['tenfold']:.2f} at a tenfold one",
        pairs["equal"].to_numpy(),
    )
    return Contrast((case,), compared(*used))


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


def _gap(name: str, cold: pd.DataFrame, warm: pd.DataFrame, detail: str = "") -> Case:
    """Cold minus warm final accuracy in points, paired by seed."""
    return paired(name, points(cold) - points(warm), detail)


def _trend(values: pd.DataFrame, over: str) -> Case:
    """The slope of `values`, a row a seed, over their columns; only seeds with all columns."""
    if len(values.columns) < LEVELS:
        raise NotJudgedError(f"a trend needs at least {LEVELS} {over}, found {len(values.columns)}")
    full = values.dropna()
    levels = full.columns.to_numpy(dtype=np.float64)
    return paired("", pd.Series(stats.slopes(levels, full.to_numpy(dtype=np.float64)), full.index))


def _regained(evidence: Evidence, wanted: Callable[[list[str]], bool]) -> Contrast:
    """What each `wanted` subset of modules regains of the gap beyond `CLOSED`, in points."""
    cold, none = evidence.played("fig06", "cold"), evidence.played("fig06", "none")
    runs = evidence.runs["fig06"]
    runs = runs[runs["role"].isin(["alone", "top", "bottom"])].drop_duplicates("run")
    runs = runs[[wanted(str(modules).split("+")) for modules in runs["reset_modules"]]]
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
        beyond = pairs["regained"] - CLOSED * pairs["gap"]
        cases.append(paired(f"reset {modules}", beyond, detail, gap))
    return Contrast(tuple(cases), compared(cold, none, runs))


def _epochs_to(evidence: Evidence, role: str, target: pd.Series) -> pd.Series:
    """The first epoch of tuning at which a seed of `role` reaches its `target`, in per cent.

    A run that never does counts as one more than its epochs.
    """
    curves = evidence.curves["fig11"]
    table = curves[curves["role"] == role].pivot(
        index="seed", columns="epoch", values="test_accuracy"
    )
    table = table.loc[table.index.intersection(target.index)]
    reached = (table * 100).ge(target[table.index], axis="index")
    epochs = reached.idxmax(axis="columns")
    return epochs.where(reached.any(axis="columns"), table.notna().sum(axis="columns") + 1)


def _near(rate: float, rates: Iterable[float]) -> float | None:
    """The one of `rates` that is `rate` but for rounding, if there is one."""
    near = [other for other in rates if abs(other / rate - 1) <= RATE_TOLERANCE]
    return min(near, key=lambda other: abs(other / rate - 1)) if near else None


def _mean_of_all(columns: list[pd.Series]) -> pd.Series:
    """The mean of `columns` by seed; no value where one of them has none."""
    return pd.concat(columns, axis="columns").mean(axis="columns", skipna=False)
