"""The noise of gradients, from a few independent batches: how strong, and how heavy-tailed.

**The unit is the gradient of a batch.** Under batch normalisation the examples of a batch share
statistics, so that an example has no gradient of its own. With C the covariance of the gradients of
batches of B examples, S = B C is what is called the covariance *a example* here; without
normalisation over the batch it is that of the gradients of single examples, whatever B. Values for
different B are comparable only there.

**All estimates are functions of the Gram matrix** G, [K, K], of the gradients of K batches
(`gram`), seen through a diagonal preconditioner or a mask if there is one. It takes K passes
forward and backward, and the memory of K gradients. Batches may be independent draws or disjoint
parts of one shuffle of N examples. For disjoint ones the trace is unbiased for the covariance among
these N (with N - 1 in its denominator), and the squared mean gradient too small by tr S / N.

**Groups of examples**, such as those that pretraining saw and those that are new, are measured
apart by a Gram matrix each. A batch of one group has statistics of that group, not those of the
mixed batches of training.

Squared gradients have the unit nats^2 / weight^2; through Adam's preconditioner they are in
weight^2 for a rate of 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from plasticity.measures.rows import (
    Examples,
    gradients_of,
    in_a_row,
    logits_of,
    trainable,
    training_mode,
)

PIECE = 2**20
"""Entries of a gradient that are multiplied at once in float64: it bounds memory."""


@dataclass(frozen=True)
class Gradients:
    """Gradients of batches, a row each, float32 [K, n], and their mean losses in nats, [K]."""

    rows: Tensor
    losses: Tensor
    batch: int


def batch_gradients(network: nn.Module, batches: Sequence[Examples]) -> Gradients:
    """The gradients of the mean cross-entropy of each of `batches`, in training mode.

    Running statistics and what parameters have in ``grad`` stay as they were. Costs a pass forward
    and backward a batch. Raises `ValueError` where batches differ in size.
    """
    sizes = {len(labels) for _, labels in batches}
    if len(sizes) != 1:
        raise ValueError(f"batches of {sorted(sizes)} examples, expected batches of one size")
    parameters = list(trainable(network).values())
    rows = parameters[0].new_empty(len(batches), sum(p.numel() for p in parameters))
    losses = []
    with training_mode(network):
        for row, (images, labels) in zip(rows, batches, strict=True):
            loss = cross_entropy(logits_of(network, images), labels)
            row.copy_(in_a_row(gradients_of(loss, parameters)))
            losses.append(loss.detach())
    return Gradients(rows, torch.stack(losses), sizes.pop())


def gram(rows: Tensor, scale: Tensor | None = None) -> Tensor:
    """All inner products of `rows` [K, n], seen through a diagonal `scale` [n]: float64 [K, K].

    It is on the CPU: this waits for the device. In float64, because the trace is a difference of
    sums that may agree to many digits.
    """
    total = rows.new_zeros(len(rows), len(rows), dtype=torch.float64)
    for first in range(0, rows.shape[1], PIECE):
        piece = rows[:, first : first + PIECE].double()
        if scale is not None:
            piece *= scale[first : first + PIECE].double()
        total += piece @ piece.T
    return total.cpu()


def adam_scale(second: Sequence[Tensor], steps: int, decay: float, epsilon: float) -> Tensor:
    """What Adam multiplies its averaged gradient by, for a rate of 1: [n].

    1 / (sqrt(v / (1 - decay^steps)) + epsilon) of the second moments v after so many `steps`
    (Kingma and Ba 2015, algorithm 1). It depends on earlier batches alone: to those measured now it
    is a constant, and what is unbiased stays so.
    """
    return 1 / ((in_a_row(second) / (1 - decay**steps)).sqrt() + epsilon)


def trace(gram: Tensor, batch: int) -> float:
    """The trace of the covariance of gradients an example, tr S, of batches of so many examples.

    B / (K - 1) (sum_k G_kk - 1 / K sum_kl G_kl), the usual sample variance summed over all weights:
    unbiased. McCandlish et al. 2018, section 2.2, call it tr(Sigma).
    """
    count = _draws(gram, 2)
    return batch * float(gram.trace() - gram.sum() / count) / (count - 1)


def squared_norm(gram: Tensor) -> float:
    """The squared norm of the mean gradient, |g|^2: the mean of G over all pairs of two batches.

    Unbiased, hence negative now and then where noise prevails; the mean over all pairs of what
    McCandlish et al. 2018, appendix A.1, take from one batch within another. Its relative deviation
    is large where K B is below the noise scale: late in training report the trace.
    """
    count = _draws(gram, 2)
    return float(gram.sum() - gram.trace()) / (count * (count - 1))


def noise_scale(gram: Tensor, batch: int) -> float:
    """The simple noise scale tr S / |g|^2, in examples (McCandlish et al. 2018, section 2.2).

    A ratio of unbiased estimates is itself biased, upwards to leading order, by about
    var(|g|^2) / |g|^4 of its value, of order 1 / K; `jackknife` takes that off. It means nothing
    where the estimate of |g|^2 is not well above its error, and is not a number where that is not
    above zero.
    """
    signal = squared_norm(gram)
    return trace(gram, batch) / signal if signal > 0 else math.nan


def largest_eigenvalue_above(gram: Tensor, batch: int) -> float:
    """The largest eigenvalue of the sample covariance, an example: on average *above* that of S.

    B / (K - 1) times that of the centred Gram matrix, which has the eigenvalues of the sample
    covariance other than zero. The largest eigenvalue is convex, so that sampling raises it
    (Jensen): for isotropic noise of n weights by a factor of about n / K where K is small. It rests
    on the trace then, and says little of the spectrum.
    """
    count = _draws(gram, 2)
    if not gram.isfinite().all():
        return math.nan
    values = torch.linalg.eigvalsh(_centred(gram))
    return batch * float(values[-1]) / (count - 1)


def largest_eigenvalue_below(gram: Tensor, batch: int) -> float:
    """The noise along the direction where half of the batches vary most, seen by the other half.

    The variance, an example, of one half of the gradients along the first principal direction of
    the other half; the mean of both ways. The direction is independent of what is measured along
    it, so that the expectation is u' S u of a unit vector u: a *lower bound* on the largest
    eigenvalue of S on average, close where one direction prevails. Needs at least four batches.
    """
    half = _draws(gram, 4) // 2
    if not gram.isfinite().all():
        return math.nan
    one, other = slice(None, half), slice(half, None)
    return batch * (_across(gram, one, other) + _across(gram, other, one)) / 2


def _across(gram: Tensor, found: slice, seen: slice) -> float:
    """The variance of the gradients `seen` along the principal direction of those `found`."""
    values, vectors = torch.linalg.eigh(_centred(gram[found, found]))
    if values[-1] <= 0:  # no noise at all, and no direction
        return 0.0
    # It sums to zero, so that the means of those `found` drop out; the variance takes the others.
    along = vectors[:, -1] / values[-1].sqrt() @ gram[found, seen]
    return float(along.var())


def _centred(gram: Tensor) -> Tensor:
    """The Gram matrix of the same rows less their mean."""
    rows = gram - gram.mean(dim=0, keepdim=True)
    return rows - rows.mean(dim=1, keepdim=True)


def _draws(gram: Tensor, least: int) -> int:
    if len(gram) < least:
        raise ValueError(f"{len(gram)} batches, expected at least {least}")
    return len(gram)


def tail_index(noise: Tensor, group: int | None = None) -> float:
    """The tail index alpha of `noise` [N], were it symmetric alpha-stable: 2 for normal noise.

    Simsekli et al. 2019, by the estimator of Mohammadi et al. 2015, corollary 2.4:
    1 / alpha = (mean log|Y| - mean log|X|) / log m, where X are the entries and Y the sums of m
    consecutive ones (`group`; by default the root of N). Entries that are zero, as of units that
    are never active, are left out. A description and no test: entries of a gradient are neither
    identically distributed nor independent, and a mixture of normal scales looks heavy-tailed
    to it. Give the difference of a batch gradient and the mean. Not a number where fewer than four
    entries are left.
    """
    entries = noise[noise != 0].double()
    size = group or math.isqrt(len(entries))
    if size < 2 or len(entries) < 4:
        return math.nan
    entries = entries[: len(entries) // size * size]
    sums = entries.view(-1, size).sum(dim=1)
    inverse = (sums.abs().log().mean() - entries.abs().log().mean()) / math.log(size)
    return float(1 / inverse)
