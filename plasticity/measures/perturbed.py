"""Loss and accuracy of networks near a state: sharpness without derivatives of second order.

All in evaluation mode, inside `rows.evaluation_mode`: statistics of normalisation are those of the
centre. Perturbations are relative to filters (`curvature.filter_norms`): multiplying a weight
before normalisation changes nothing. Biases and normalisation are left alone, as in Li et al. 2018,
section 4. Compare states of equal training loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plasticity.measures.curvature import filter_deviations, filter_norms
from plasticity.measures.estimates import Estimate, mean
from plasticity.measures.rows import Examples, apart, loss_and_accuracy, mean_gradient, trainable


@dataclass(frozen=True)
class Noisy:
    """Mean loss in nats and accuracy as a share under noise of a relative `size`.

    `rise` is that of the loss above its value without noise: the average-case sharpness. The errors
    are those of the mean over draws; sizes share their draws.
    """

    size: float
    loss: Estimate
    rise: Estimate
    accuracy: Estimate


def under_noise(
    network: nn.Module,
    batches: Sequence[Examples],
    sizes: Sequence[float],
    draws: int,
    generator: torch.Generator,
) -> list[Noisy]:
    """Loss and accuracy under normal noise on the weights, of each of the relative `sizes`.

    The noise of a filter of m weights w is normal with a deviation of size |w| / sqrt(m) an entry,
    so that its norm is about size |w|: the average-case form of adaptive sharpness (Andriushchenko
    et al. 2023), for small sizes about size^2 / 2 times the trace of T H T with the
    `filter_deviations`. Draws are made on the CPU from `generator`. Costs a pass forward over the
    batches for each size and draw. Raises `ValueError` for fewer than two draws.
    """
    scale = filter_deviations(network)
    base, _ = loss_and_accuracy(network, batches)
    found: list[list[tuple[float, float]]] = [[] for _ in sizes]
    for _ in range(draws):
        noise = torch.randn(len(scale), generator=generator).to(scale.device) * scale
        for values, size in zip(found, sizes, strict=True):
            with moved(network, size * noise):
                values.append(loss_and_accuracy(network, batches))
    return [
        Noisy(
            size,
            mean([loss for loss, _ in values]),
            mean([loss - base for loss, _ in values]),
            mean([accuracy for _, accuracy in values]),
        )
        for size, values in zip(sizes, found, strict=True)
    ]


def sharpness(
    network: nn.Module,
    batches: Sequence[Examples],
    radius: float,
    steps: int,
    generator: torch.Generator,
) -> float:
    """The largest rise of the loss, in nats, that was found within a relative `radius`.

    Adaptive sharpness (Kwon et al. 2021, section 3): the maximum of L(w + T z) - L(w) over
    |z| <= radius, T the `filter_norms`. Each of `steps` goes to the end of the ball that the
    gradient at the last point names, z = radius T g / |T g|, and begins at a random point there:
    near a minimum that is power iteration on T H T. A lower bound on the maximum, and never below
    zero. Costs two passes forward and one backward over the batches a step.
    """
    scale = filter_norms(network)
    base, _ = loss_and_accuracy(network, batches)
    direction = torch.randn(len(scale), generator=generator).to(scale.device)
    rises = [0.0]
    for _ in range(steps):
        step = radius * scale * direction / torch.linalg.vector_norm(direction)
        with moved(network, step):
            rises.append(loss_and_accuracy(network, batches)[0] - base)
            ascent = scale * mean_gradient(network, batches)
        if not ascent.any():
            break
        direction = ascent
    return max(rises)


@contextmanager
def moved(network: nn.Module, row: Tensor) -> Iterator[None]:
    """`network` with `row`, [n], added to what is trained in here; then with its weights again."""
    parameters = list(trainable(network).values())
    before = [parameter.detach().clone() for parameter in parameters]
    try:
        with torch.no_grad():
            for parameter, piece in zip(parameters, apart(row, parameters), strict=True):
                parameter.add_(piece)
        yield
    finally:
        with torch.no_grad():
            for parameter, value in zip(parameters, before, strict=True):
                parameter.copy_(value)
