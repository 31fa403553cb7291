"""Estimates and their standard errors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Estimate:
    """A `value` and its standard `error`, in the same unit."""

    value: float
    error: float


def mean(values: Sequence[float]) -> Estimate:
    """The mean of independent `values`, and its standard error from their spread.

    Raises `ValueError` for fewer than two.
    """
    if len(values) < 2:
        raise ValueError(f"{len(values)} draws, expected at least 2 for a standard error")
    among = torch.tensor(values, dtype=torch.float64)
    return Estimate(float(among.mean()), float(among.std()) / math.sqrt(len(values)))


def jackknife(gram: Tensor, statistic: Callable[[Tensor], float]) -> Estimate:
    """A `statistic` of K draws, of which `gram` [K, K] holds all inner products.

    The jackknife (Efron and Stein 1981): with t the statistic of all and t_i without draw i, the
    value is K t - (K - 1) mean(t_i), which takes a bias of order 1 / K away, and its error the root
    of (K - 1) / K sum (t_i - mean(t_i))^2, which is on the large side. A statistic that is a mean
    over pairs of draws, as an unbiased one, keeps its value. Raises `ValueError` for fewer than
    three draws.
    """
    count = len(gram)
    if count < 3:
        raise ValueError(f"{count} draws, expected at least 3 for the jackknife")
    rest = [[other for other in range(count) if other != one] for one in range(count)]
    without = [statistic(gram[kept][:, kept]) for kept in rest]
    among = torch.tensor(without, dtype=torch.float64)
    value = count * statistic(gram) - (count - 1) * float(among.mean())
    spread = (count - 1) / count * float(((among - among.mean()) ** 2).sum())
    return Estimate(value, math.sqrt(spread))
