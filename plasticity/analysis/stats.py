"""Paired comparisons over seeds: means, slopes, corrections and how many seeds to take."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

POWER = 0.8
"""The fraction of studies that are to find an effect which is there."""


@dataclass(frozen=True)
class PairedGap:
    """The mean of paired differences, its 95% t interval, and their standard deviation.

    With one pair, `std`, `low`, `high` and `p_value` are not a number; where all differences
    are equal, the last three.
    """

    n: int
    mean: float
    std: float
    low: float
    high: float
    p_value: float


def paired_gap(cold: np.ndarray, warm: np.ndarray) -> PairedGap:
    """`cold` - `warm`, float [n], pair by pair, with the interval and p value of a paired t test.

    Raises `ValueError` where the two differ in length or are empty.
    """
    if len(cold) != len(warm) or len(cold) == 0:
        raise ValueError(f"expected pairs, got {len(cold)} cold and {len(warm)} warm values")
    return mean_difference(cold - warm)


def mean_difference(
    differences: np.ndarray, resolution: float = 0.0, confidence: float = 0.95
) -> PairedGap:
    """The mean of paired `differences`, float [n], with the interval and p value of their t test.

    `resolution` is the least standard deviation that they are taken to have; the interval has this
    `confidence`. Raises `ValueError` where there are none.
    """
    from scipy.special import stdtrit
    from scipy.stats import ttest_1samp

    if len(differences) == 0:
        raise ValueError("expected at least one difference")
    n, mean = len(differences), float(differences.mean())
    if n == 1:
        return PairedGap(1, mean, *[math.nan] * 4)
    if resolution > differences.std(ddof=1):
        half = float(stdtrit(n - 1, (1 + confidence) / 2)) * resolution / math.sqrt(n)
        p_value = 2 * p_above(np.abs(mean) + differences - mean, 0.0, resolution)
        return PairedGap(n, mean, resolution, mean - half, mean + half, p_value)
    if _alike(differences):
        return PairedGap(n, mean, 0.0, *[math.nan] * 3)
    test = ttest_1samp(differences, 0.0)
    interval = test.confidence_interval(confidence)
    return PairedGap(
        n=n,
        mean=mean,
        std=float(differences.std(ddof=1)),
        low=float(interval.low),
        high=float(interval.high),
        p_value=float(test.pvalue),
    )


def _alike(differences: np.ndarray) -> bool:
    """Whether all pairs differ alike: they tell nothing about how far another pair may be off."""
    return bool(np.ptp(differences) <= 2e-12)


def p_above(differences: np.ndarray, bound: float, resolution: float = 0.0) -> float:
    """The one-sided p value, by t test, for a mean of `differences`, float [n], above `bound`.

    Their standard deviation is taken to be at least `resolution`. Not a number where there are
    fewer than two differences, or all are equal and there is no such least deviation. The p value
    for a mean below `bound` is `p_above(-differences, -bound)`.
    """
    from scipy.special import stdtr

    n = len(differences)
    if n < 2 or (_alike(differences) and not resolution):
        return math.nan
    standard_error = max(differences.std(ddof=1), resolution) / math.sqrt(n)
    return float(stdtr(n - 1, (bound - differences.mean()) / standard_error))


def slopes(levels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The least-squares slope over `levels`, float [k], of each row of `values`, float [n, k].

    Raises `ValueError` where all levels are equal.
    """
    centred = levels - levels.mean()
    if not centred.any():
        raise ValueError("expected at least two different levels")
    return np.asarray(values @ (centred / (centred @ centred)))


def holm(p_values: np.ndarray) -> np.ndarray:
    """`p_values`, float [m], corrected by Holm for m hypotheses under any dependence."""
    order = np.argsort(p_values)
    steps = p_values[order] * np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected


def seeds_needed(
    effect: float, std: float, level: float, most: int, power: float = POWER
) -> int | None:
    """The fewest pairs by which a one-sided t test at `level` finds `effect` with a chance `power`.

    `std`, above 0, is that of the differences over pairs, in the unit of `effect`. None where
    `most` pairs are not enough, as they never are for an effect of the other sign.
    """
    from scipy.stats import nct, t

    if effect <= 0:
        return None
    n = np.arange(2, most + 1)
    chance = nct.sf(t.isf(level, n - 1), n - 1, effect / std * np.sqrt(n))
    enough = n[chance >= power]
    return int(enough[0]) if len(enough) else None
