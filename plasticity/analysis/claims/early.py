"""The claims of Frankle et al. 2020: each is a function from the tables to a contrast.

What each contrast is and why is in docs/claims.md. (S) marks a number that a source at hand states,
(R) one that is recalled and unchecked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Literal

import numpy as np
import pandas as pd

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
from plasticity.analysis.claims.phases import growth, momentum_alone, trend
from plasticity.analysis.reported import BORDERS, SMALLEST_GAP
from plasticity.runs import optimisers

FRANKLE = Paper(
    "Frankle et al. 2020", "The early phase of neural network training", presumes_fit=False
)

CLAIMS = Claims(FRANKLE)

TELEMETRY = "early_telemetry"
"""The figure that observes the first iterations."""

EARLY = 500
"""The iteration to which sub-networks are set back (S)."""

DENSITY = 0.168
"""The fraction of weights at which sub-networks are compared (S): 0.8 to the power of 8."""

GAINED = 2.7
"""What others gain by rewinding ResNet-20 on CIFAR-10, in points, from 88.5% to 91.2% (S)."""

MOST_OF_THE_GAIN = 0.5
"""The fraction of the gain of rewinding that must be lost, or kept, for most of it to be."""

USUAL = ("augment",)
"""Views that are no pretraining task: training on the labels has them too."""

TASKS = {"rotations": "rotation", "blurred images": r"blur\d+", "random labels": "randomlabels"}
"""What networks are pretrained on, as patterns of the view. Images may be blurred by any factor."""

FIRST = 1
"""The iteration from which the telemetry must be there; 0 has no place on logarithmic axes."""

REACH = 2
"""How far beyond the last border the telemetry must reach, as a factor: shorter is no phase."""

GAIN = "gain of rewinding to compare with"


@CLAIMS.declare(
    "rewind",
    "With 16.8% of the weights left, a sub-network set back to iteration 500 becomes more accurate "
    "than one set back to the initialisation.",
    ("early_tickets",),
    "gain: accuracy when set back to an early iteration minus that when set back to the "
    "initialisation",
    smallest=SMALLEST_GAP,
)
def rewind(evidence: Evidence) -> Contrast:
    """Rewound minus start, at the level closest to the density."""
    figure = "early_tickets"
    k, rewound = _rewound(evidence, figure)
    density, (start, rewound) = _at_density(figure, evidence.played(figure, "start"), rewound)
    detail = (
        f"k = {k} with {density:.1%} of the weights left, where ResNet-20 on CIFAR-10 is reported "
        f"to gain {GAINED:g} points"
    )
    case = paired("", points(rewound) - points(start), detail)
    return Contrast((case,), compared(start, rewound))


@CLAIMS.declare(
    "signs",
    "The signs that weights have early in training are not what matters: with these signs and "
    "magnitudes drawn anew, most of the gain of rewinding is lost.",
    ("early_perturbations",),
    "half of the gain of rewinding, minus what is left of it",
    presumes=GAIN,
)
def signs(evidence: Evidence) -> Contrast:
    """Fresh magnitudes under the signs of iteration k."""
    return _perturbed(
        evidence,
        "mixed",
        lambda runs: (runs["signs"] == "k") & (runs["magnitudes"] == "fresh"),
        "signs of iteration k with fresh magnitudes",
    )


@CLAIMS.declare(
    "iid",
    "After a few hundred iterations weights are far from independent: shuffled within their "
    "layers, sub-networks lose most of the gain of rewinding.",
    ("early_perturbations",),
    "half of the gain of rewinding, minus what is left of it",
    presumes=GAIN,
)
def iid(evidence: Evidence) -> Contrast:
    """Weights permuted within layers."""
    return _perturbed(
        evidence, "shuffled", lambda runs: runs["scope"] == "layer", "weights shuffled in layers"
    )


@CLAIMS.declare(
    "blur-selfsup",
    "Pretraining on blurred images, or on telling rotations without any labels, approximates the "
    "early phase: each keeps most of the gain of rewinding.",
    ("early_data",),
    "gain of the longest pretraining, minus half of the gain of rewinding",
    presumes=GAIN,
)
def blur_selfsup(evidence: Evidence) -> Contrast:
    """What the longest pretraining gains beyond half of the gain, a case a task."""
    return _pretrained(evidence, "kept", "rotations", "blurred images")


@CLAIMS.declare(
    "labels",
    "Labels speed up the early phase: 500 iterations of ordinary training gain more than as many "
    "or more iterations of pretraining on rotations or on blurred images.",
    ("early_data",),
    "accuracy when set back to an early iteration minus that after at least as many iterations of "
    "pretraining",
    smallest=SMALLEST_GAP,
    recalled=True,
    presumes=GAIN,
)
def labels(evidence: Evidence) -> Contrast:
    """Rewound minus the shortest pretraining that is no shorter, a case a task."""
    figure = "early_data"
    k, rewound, start, pretrained = _data(evidence)
    cases, runs = [], [start, rewound]
    for task, trained in _tasks(figure, pretrained, "rotations", "blurred images").items():
        lengths = trained["pretrain_iterations"]
        if not (lengths >= k).any():
            raise NotJudgedError(f"{figure} has no pretraining on {task} of {k} iterations or more")
        length = lengths[lengths >= k].min()
        runs.append(trained[lengths == length])
        table = _by_seed(start=start, rewound=rewound, other=runs[-1])
        detail = f"{k} iterations of ordinary training against {length:.0f} of pretraining"
        gain = (table["rewound"] - table["start"]).to_numpy()
        cases.append(paired(task, table["rewound"] - table["other"], detail, gain))
    return Contrast(tuple(cases), compared(*runs))


@CLAIMS.declare(
    "random-labels",
    "Pretraining on random labels does not help: it keeps less than half of the gain of rewinding.",
    ("early_data",),
    "half of the gain of rewinding, minus the gain of the longest pretraining",
    recalled=True,
    presumes=GAIN,
)
def random_labels(evidence: Evidence) -> Contrast:
    """What the longest pretraining on random labels lacks to half of the gain."""
    return _pretrained(evidence, "lost", "random labels")


@CLAIMS.declare(
    "phases",
    "The first iterations have sub-phases, with borders near iterations 10 and 500: gradients fall "
    "faster before the first than after it, and the way from the initial weights grows more slowly "
    "after the second, by more than momentum does alone.",
    (TELEMETRY,),
    "change at a border of the exponent by which gradients, or the distance to the initial "
    "weights, grow with the iterations",
    unit="of the exponent",
    recalled=True,
)
def phases(evidence: Evidence) -> Contrast:
    """What changes at the borders, on logarithmic axes, seed by seed."""
    played = evidence.played(TELEMETRY, "dense")
    ended = points(played).dropna().index  # refuses several runs of a seed
    known = played[(played["optimiser_name"] == "sgd") & played["seed"].isin(ended)]
    if known.empty:
        raise NotJudgedError(
            f"{TELEMETRY} has no runs with SGD, of which it is known what momentum does alone"
        )
    until = known.set_index("seed").apply(_at_one_rate_until, axis="columns")
    observed = evidence.observed(TELEMETRY, "dense")
    gradients = _curves(observed, "gradient_magnitude", until)
    distances = _curves(observed, "distance_to_initial", until)
    last = min(int(curve.index[-1]) for curve in distances.values())
    momentum = float(known["momentum"].max())
    first, second = BORDERS
    falls = {
        seed: trend(curve, first, second) - trend(curve, FIRST, first)
        for seed, curve in gradients.items()
    }
    slows = {
        seed: growth(curve, first, second) - growth(curve, second, last)
        for seed, curve in distances.items()
    }
    alone = momentum_alone(momentum, first, second, last)
    cases = (
        paired(f"gradients, border {first}", pd.Series(falls)),
        paired(
            f"movement, border {second}",
            pd.Series(slows),
            f"with a momentum of {momentum:g} gradients that never change make up to {alone:.2f}",
            bound=alone,
        ),
    )
    judged = played["seed"].isin(gradients.keys() | distances.keys())
    used = played[judged | played["diverged"].astype(bool)]
    return Contrast(cases, compared(used))


def _rewound(evidence: Evidence, figure: str) -> tuple[int, pd.DataFrame]:
    """The runs that are set back to iteration `EARLY`, or to the latest one, and that iteration."""
    rewound = evidence.played(figure, "rewound")
    iterations = rewound["pretrain_iterations"]
    if iterations.isna().all():
        raise NotJudgedError(f"{figure} does not tell to which iterations its runs are set back")
    k = EARLY if (iterations == EARLY).any() else int(iterations.max())
    return k, rewound[iterations == k]


def _at_density(figure: str, *tables: pd.DataFrame) -> tuple[float, list[pd.DataFrame]]:
    """The rows of `tables` at the level of pruning that is closest to `DENSITY`, and its density.

    Of the levels that all of them have.
    """
    densities = (
        pd.concat([table[["level", "density"]] for table in tables])
        .groupby("level")["density"]
        .mean()
        .dropna()
    )
    shared = [densities.index.isin(table["level"]) for table in tables]
    densities = densities[np.logical_and.reduce(shared)]
    if densities.empty:
        raise NotJudgedError(f"{figure} has no level of pruning in all of the roles compared")
    position = int(np.abs(densities.to_numpy() - DENSITY).argmin())
    level = densities.index[position]
    return float(densities.iloc[position]), [table[table["level"] == level] for table in tables]


def _by_seed(**tables: pd.DataFrame) -> pd.DataFrame:
    """Accuracies in points, a row a seed and a column a table; only seeds that have all."""
    columns = [points(table) for table in tables.values()]
    return pd.concat(columns, axis="columns", keys=tables.keys()).dropna()


def _part_of_gain(
    name: str, table: pd.DataFrame, is_said_to_be: Literal["kept", "lost"], detail: str = ""
) -> Case:
    """Whether most of the gain of rewinding is kept, or lost, in the runs compared.

    `table` has the columns start, rewound and other, in points by seed.
    """
    gain, kept = table["rewound"] - table["start"], table["other"] - table["start"]
    beyond = kept - MOST_OF_THE_GAIN * gain
    told = f"keeps {kept.mean():.2f} of {gain.mean():.2f} points"
    return paired(
        name,
        beyond if is_said_to_be == "kept" else -beyond,
        f"{told} {detail}" if detail else told,
        gain.to_numpy(),
    )


def _perturbed(
    evidence: Evidence, role: str, wanted: Callable[[pd.DataFrame], pd.Series], what: str
) -> Contrast:
    """What the `wanted` runs of `role` lack to half of the gain, a case an iteration."""
    figure = "early_perturbations"
    start, unchanged = evidence.played(figure, "start"), evidence.played(figure, "unchanged")
    changed = evidence.played(figure, role)
    changed = changed[wanted(changed)]
    if changed.empty:
        raise NotJudgedError(f"{figure} has no runs with {what}")
    density, (start, unchanged, changed) = _at_density(figure, start, unchanged, changed)
    iterations = set(unchanged["pretrain_iterations"].dropna()) & set(
        changed["pretrain_iterations"]
    )
    cases, runs = [], [start]
    for k in sorted(iterations):
        before = unchanged[unchanged["pretrain_iterations"] == k]
        after = changed[changed["pretrain_iterations"] == k]
        table = _by_seed(start=start, rewound=before, other=after)
        where = f"with {density:.1%} of the weights left"
        cases.append(_part_of_gain(f"k = {k:.0f}", table, "lost", where))
        runs += [before, after]
    if not cases:
        raise NotJudgedError(f"{figure} has no iteration both unchanged and with {what}")
    return Contrast(tuple(cases), compared(*runs))


def _data(evidence: Evidence) -> tuple[int, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """The early iteration, and the runs set back to it, to the initialisation, and pretrained.

    All at one level. Of several budgets after pretraining it is the one that runs from the
    initialisation have, where they are there.
    """
    figure = "early_data"
    k, rewound = _rewound(evidence, figure)
    start, pretrained = evidence.played(figure, "start"), evidence.played(figure, "pretrained")
    _, (start, rewound, pretrained) = _at_density(figure, start, rewound, pretrained)
    alike = pretrained["length"].isin(start["length"])
    return k, rewound, start, pretrained[alike] if alike.any() else pretrained


def _tasks(figure: str, pretrained: pd.DataFrame, *tasks: str) -> dict[str, pd.DataFrame]:
    """The runs of each of `tasks`, names of `TASKS`, by the spelling of its view.

    A combination of views is a task of its own. Raises `NotJudgedError` where a task is missing.
    """
    words = pretrained["pretrain_views"].map(
        lambda views: "+".join(word for word in str(views).split("+") if word not in USUAL)
    )
    found: dict[str, pd.DataFrame] = {}
    for task in tasks:
        spellings = sorted({word for word in words if re.fullmatch(TASKS[task], word)})
        if not spellings:
            raise NotJudgedError(f"{figure} has no pretraining on {task} alone")
        found |= {spelling: pretrained[words == spelling] for spelling in spellings}
    return found


def _pretrained(
    evidence: Evidence, is_said_to_be: Literal["kept", "lost"], *tasks: str
) -> Contrast:
    """Whether the longest pretraining on each of `tasks` keeps, or lacks, most of the gain."""
    _, rewound, start, pretrained = _data(evidence)
    cases, runs = [], [start, rewound]
    for task, trained in _tasks("early_data", pretrained, *tasks).items():
        lengths = trained["pretrain_iterations"]
        runs.append(trained[lengths == lengths.max()])
        table = _by_seed(start=start, rewound=rewound, other=runs[-1])
        detail = f"after {lengths.max():.0f} iterations of pretraining"
        cases.append(_part_of_gain(task, table, is_said_to_be, detail))
    return Contrast(tuple(cases), compared(*runs))


def _at_one_rate_until(run: pd.Series) -> float:
    """The last iteration of `run` before its learning rate changes."""
    options = optimisers.parse(run["optimiser"]).options
    if options["warm"] or options["schedule"]:
        return 0.0
    drops = options["drops"]
    return drops[0] * run["iterations"] / run["epochs"] if drops else np.inf


def _curves(observed: pd.DataFrame, quantity: str, until: pd.Series) -> dict[Hashable, pd.Series]:
    """A curve, float [n] by iteration, for each seed whose telemetry covers all sub-phases.

    Of the seeds in `until`, and of the iterations up to there.
    """
    # Positive ones, as they are taken on logarithmic axes.
    seen = (
        (observed["quantity"] == quantity)
        & (observed["value"] > 0)
        & (observed["iteration"] > 0)
        & (observed["iteration"] <= observed["seed"].map(until))
    )
    values = observed[seen].pivot(index="iteration", columns="seed", values="value")
    curves = {seed: curve.dropna() for seed, curve in values.sort_index().items()}
    last = REACH * BORDERS[-1]
    reaching = {
        seed: curve
        for seed, curve in curves.items()
        if curve.index[0] <= FIRST and curve.index[-1] >= last
    }
    if not reaching:
        raise NotJudgedError(
            f"{TELEMETRY} does not have {quantity} from iteration {FIRST} to {last} at one "
            "learning rate"
        )
    return reaching
