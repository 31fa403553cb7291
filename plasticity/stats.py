"""Paired comparisons over seeds, with scipy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PairedGap:
    """The mean of paired differences, their deviation over pairs, and a 95% t interval of the mean.

    With one pair, `deviation`, `low`, `high` and `p_value` are not a number; where all differences
    are equal, the last three.
    """

    n: int
    mean: float
    deviation: float
    low: float
    high: float
    p_value: float


def paired_gap(cold: np.ndarray, warm: np.ndarray) -> PairedGap:
    """`cold` - `warm`, float [n], pair by pair, with the interval and p value of a paired t test.

    Raises `ValueError` where the two differ in length or are empty.
    """
    from scipy.stats import ttest_rel

    if len(cold) != len(warm) or len(cold) == 0:
        raise ValueError(f"expected pairs, got {len(cold)} cold and {len(warm)} warm values")
    differences = cold - warm
    mean = float(differences.mean())
    if len(differences) == 1:
        return PairedGap(1, mean, *[math.nan] * 4)
    deviation = float(differences.std(ddof=1))
    if np.allclose(differences, mean, rtol=0.0, atol=1e-12):
        # All pairs alike: they tell nothing about how far another pair may be off.
        return PairedGap(len(cold), mean, 0.0, *[math.nan] * 3)
    test = ttest_rel(cold, warm)
    interval = test.confidence_interval(0.95)
    return PairedGap(
        n=len(cold),
        mean=mean,
        deviation=deviation,
        low=float(interval.low),
        high=float(interval.high),
        p_value=float(test.pvalue),
    )
