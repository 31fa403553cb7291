"""The path that weights take: how far, how straight, and at what rate for their size."""

from __future__ import annotations

import torch
from torch import Tensor

from plasticity.measures.rows import norm


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """The cosine of the angle between two rows, [n] each, in float64: not a number for zeros."""
    one, other = one.double(), other.double()
    return one.dot(other) / (norm(one) * norm(other))


def angle(one: Tensor, other: Tensor) -> Tensor:
    """The angle between two rows, [n] each, in radians, 0 .. pi: not a number for zeros.

    2 atan2(|u - v|, |u + v|) of their unit vectors, which is exact for small angles, where the
    arc cosine is not.
    """
    u, v = (row.double() / norm(row) for row in (one, other))
    return 2 * torch.atan2(norm(u - v), norm(u + v))


class Path:
    """The way from `start`, [n], step by step, with the memory of three rows.

    Weights are rows [n] in float32 or float64; sums are float64, on their device: nothing waits
    for it.
    """

    def __init__(self, start: Tensor) -> None:
        self.start = start.detach().clone()
        self.last = self.start
        self.update: Tensor | None = None
        """The last update, [n]."""
        self.turn: Tensor | None = None
        """The angle in radians between the last update and the one before it; pi / 2 is chance."""
        self.length = start.new_zeros((), dtype=torch.float64)
        """The sum of the lengths of all updates so far, in weights."""

    def move(self, weights: Tensor) -> None:
        """Go on to `weights`, one step later."""
        weights = weights.detach().clone()
        update = weights - self.last
        self.turn = None if self.update is None else angle(self.update, update)
        self.length = self.length + norm(update)
        self.last, self.update = weights, update

    @property
    def distance(self) -> Tensor:
        """The distance from the start as the crow flies, in weights."""
        return norm(self.last - self.start)

    def heading(self, end: Tensor) -> Tensor | None:
        """The cosine of the last update to the direct line from the start to `end`, [n]."""
        return None if self.update is None else cosine(self.update, end - self.start)


def effective_rate(rate: float, weight: Tensor, power: int = 2) -> float:
    """The learning rate as a layer before normalisation feels it: rate / |w|^`power`.

    The output does not depend on the size of such a weight w: only its direction learns. Gradients
    then shrink as 1 / |w|, so that SGD turns it at rate / |w|^2; rules whose steps do not depend on
    the size of gradients, such as Adam, turn it at rate / |w|: a `power` of 1 (van Laarhoven 2017;
    Hoffer et al. 2018). `weight` is all that one normalisation divides by together: a filter for
    batch normalisation, the usual shorthand a layer.
    """
    return rate / float(norm(weight)) ** power
