"""The claims of Berariu et al. 2021 that there is a gap and that it grows: figures 1 to 5, 8 to 10.

Each is a function from the tables to a contrast; what each is and why is in docs/claims.md.
"""

from __future__ import annotations

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
"""Those of figures 6, 7 and 11 are declared after them, in `plasticity.analysis.claims.paper`."""

EARLY = (5, 10)
"""Epochs of pretraining that the paper calls few: "5-10 for Adam"."""

LEVELS = 3
"""The fewest values of a factor over which there is a trend."""

# The smallest slopes of interest: the smallest gap of interest over the whole grid of the paper's
# study, from 1 to 350 epochs of pretraining, from 1 to 10 stages, from a uniform share of 1 to 0.
SMALLEST_PER_TENFOLD = 0.2
SMALLEST_PER_STAGE = 0.05
SMALLEST_PER_SHARE = SMALLEST_GAP

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
    parts = []
    for figure, name in OPTIMISERS.items():
        cold, warm = evidence.played(figure, "cold"), evidence.played(figure, "warm")
        longest = warm[warm["pretrain_epochs"] == warm["pretrain_epochs"].max()]
        parts.append(Contrast((_gap(name, cold, longest),), compared(cold, longest)))
    return _joined(parts)


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
    return _early(evidence, "fig02")


@CLAIMS.declare(
    "gap-early-all",
    "With every optimiser a few epochs of pretraining, before the training accuracy of pretraining "
    "reaches 100%, are already enough for a gap: Adam, RMSprop, SGD, and SGD with momentum.",
    tuple(OPTIMISERS),
    "gap after a short pretraining",
    smallest=SMALLEST_GAP,
)
def gap_early_all(evidence: Evidence) -> Contrast:
    """The same, a case an optimiser."""
    return _joined([_early(evidence, figure, name) for figure, name in OPTIMISERS.items()])


@CLAIMS.declare(
    "gap-grows",
    "The more epochs of pretraining, the larger the gap (Adam).",
    ("fig02",),
    "growth of the gap from one length of pretraining to a tenfold one",
    unit="points per tenfold pretraining",
    smallest=SMALLEST_PER_TENFOLD,
)
def gap_grows(evidence: Evidence) -> Contrast:
    """The slope of the gap over the logarithm of the length of pretraining."""
    return _growth(evidence, "fig02")


@CLAIMS.declare(
    "gap-grows-all",
    "With every optimiser the gap is the larger, the more epochs of pretraining: Adam, RMSprop, "
    "SGD, and SGD with momentum.",
    tuple(OPTIMISERS),
    "growth of the gap from one length of pretraining to a tenfold one",
    unit="points per tenfold pretraining",
    smallest=SMALLEST_PER_TENFOLD,
)
def gap_grows_all(evidence: Evidence) -> Contrast:
    """The same, a case an optimiser."""
    return _joined([_growth(evidence, figure, name) for figure, name in OPTIMISERS.items()])


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
    smallest=SMALLEST_PER_STAGE,
)
def gap_stages(evidence: Evidence) -> Contrast:
    """The slope over the number of pretraining stages, from one on, with its sign turned.

    Cold runs are left out: the step from none to one is the gap, which has a claim of its own.
    """
    uniform = evidence.played("fig04", "uniform")
    accuracy = points(uniform, "stages").unstack("stages")
    return Contrast((_trend(-accuracy, "numbers of stages"),), compared(uniform))


@CLAIMS.declare(
    "retrain",
    "Training anew on all of the data is better than growing them in stages, however many.",
    ("fig04",),
    "accuracy from scratch minus that after growing the data in stages",
    smallest=SMALLEST_GAP,
)
def retrain(evidence: Evidence) -> Contrast:
    """Cold minus the last of several stages, a case a number of stages."""
    cold, uniform = evidence.played("fig04", "cold"), evidence.played("fig04", "uniform")
    cases = tuple(
        _gap(f"stages of pretraining: {number}", cold, runs)
        for number, runs in uniform.groupby(uniform["stages"] - 1)
    )
    return Contrast(cases, compared(cold, uniform))


@CLAIMS.declare(
    "gap-imbalance",
    "The fewer of a stage's new examples are drawn uniformly, and the more by class, the lower "
    "the accuracy.",
    ("fig04",),
    "loss of accuracy from a uniform share of 1 to one of 0",
    smallest=SMALLEST_PER_SHARE,
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
    parts = []
    for (depth, width), tuned in warm.groupby(size):
        scratch = cold[(cold["depth"] == depth) & (cold["width"] == width)]
        case = _gap(f"depth {depth:.0f}, width {width:.0f}", scratch, tuned)
        parts.append(Contrast((case,), compared(scratch, tuned)))
    if not parts:
        raise NotJudgedError("fig05 has no networks of known depth and width")
    return _joined(parts)


def _early(evidence: Evidence, figure: str, name: str = "") -> Contrast:
    """Cold minus warm at the longest of the short pretrainings that had not fitted their data."""
    cold, warm = evidence.played(figure, "cold"), evidence.played(figure, "warm")
    few = warm[warm["pretrain_epochs"].between(*EARLY) & ~warm["diverged"].astype(bool)]
    # Where pretraining was not measured nobody knows that it had not fitted its data.
    fitted = few[~(few["pretrain_best_train_accuracy"] < FULL)]
    unfitted = few[~few["pretrain_epochs"].isin(fitted["pretrain_epochs"])]
    if unfitted.empty:
        where = f"{figure}: " if name else ""
        raise NotJudgedError(
            "{}no pretraining of {} to {} epochs stayed below 100% training accuracy in every "
            "seed".format(where, *EARLY)
        )
    length = unfitted["pretrain_epochs"].max()
    early = warm[warm["pretrain_epochs"] == length]
    case = _gap(name, cold, early, f"after {length} epochs of pretraining")
    return Contrast((case,), compared(cold, early))


def _growth(evidence: Evidence, figure: str, name: str = "") -> Contrast:
    """The slope of the gap over the logarithm of the length of pretraining."""
    cold, warm = evidence.played(figure, "cold"), evidence.played(figure, "warm")
    accuracy = points(warm, "pretrain_epochs").unstack("pretrain_epochs")
    gaps = -accuracy.sub(points(cold), axis="index")
    gaps = gaps.set_axis(np.log10(gaps.columns), axis="columns")
    return Contrast((_trend(gaps, "lengths of pretraining", name),), compared(cold, warm))


def _joined(parts: list[Contrast]) -> Contrast:
    """A contrast that has the cases of all `parts`, whose runs are compared part by part."""
    cases = tuple(case for part in parts for case in part.cases)
    return Contrast(cases, pd.concat([part.runs for part in parts]))


def _gap(name: str, cold: pd.DataFrame, warm: pd.DataFrame, detail: str = "") -> Case:
    """Cold minus warm final accuracy in points, paired by seed."""
    return paired(name, points(cold) - points(warm), detail)


def _trend(values: pd.DataFrame, over: str, name: str = "") -> Case:
    """The slope of `values`, a row a seed, over their columns; only seeds with all columns."""
    if len(values.columns) < LEVELS:
        raise NotJudgedError(f"a trend needs at least {LEVELS} {over}, found {len(values.columns)}")
    full = values.dropna()
    levels = full.columns.to_numpy(dtype=np.float64)
    return paired(
        name, pd.Series(stats.slopes(levels, full.to_numpy(dtype=np.float64)), full.index)
    )
