"""Sub-phases of early training: how a curve bends at a border, and what momentum alone does."""

from __future__ import annotations

import numpy as np
import pandas as pd

MIXTURES = np.concatenate([[0.0], np.logspace(-8, 4, 49), [np.inf]])
"""Ratios of the squared mean of a gradient to its variance, from noise alone to the mean alone."""


def growth(curve: pd.Series, first: int, last: int) -> float:
    """The exponent by which `curve`, float [n] by iteration, grows from `first` to `last`.

    Of the power law through these two iterations, on straight lines between those observed on
    logarithmic axes.
    """
    ends = np.log([first, last])
    heights = np.interp(ends, np.log(curve.index), np.log(curve.to_numpy()))
    return float(np.diff(heights)[0] / np.diff(ends)[0])


def trend(curve: pd.Series, first: int, last: int) -> float:
    """The exponent of the power law fitted to `curve` from `first` to `last`.

    By least squares on logarithmic axes, each iteration counting as much as it is long there, so
    that the fit neither hangs on single iterations nor on how often the curve was observed.
    """
    iterations = np.arange(first, last + 1)
    position = np.log(iterations)
    height = np.interp(position, np.log(curve.index), np.log(curve.to_numpy()))
    weights = 1 / iterations
    position = position - np.average(position, weights=weights)
    return float((weights * position * height).sum() / (weights * position**2).sum())


def momentum_alone(momentum: float, first: int, border: int, last: int) -> float:
    """How much less the exponent of the distance is after `border` than before it, if gradients
    never change.

    The largest such number over gradients of any constant mean and any noise that is independent
    from step to step, of any ratio of the two, under SGD with this `momentum`, from `first` to
    `last`. Without momentum it is 0.
    """
    steps = np.arange(1, last + 1)
    # By how much of the rate a gradient has moved the weights so many steps later.
    moved = (1 - momentum**steps) / (1 - momentum)
    mean, noise = np.cumsum(moved) ** 2, np.cumsum(moved**2)
    at = np.array([first, border, last])
    width = np.diff(np.log(at))
    bends = []
    for ratio in MIXTURES:
        squared = mean if np.isinf(ratio) else noise + ratio * mean
        before, after = np.diff(np.log(squared[at - 1])) / 2 / width
        bends.append(before - after)
    return float(max(bends))
