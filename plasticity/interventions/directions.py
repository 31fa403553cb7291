"""How weights lie to the gradients of the data to come: what DASH shrinks them by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import cosine_similarity, cross_entropy

from plasticity.models.network import Network
from plasticity.models.undo import put_back

TINY = 1e-300
"""Norms are at least this in float64: only what is zero has no direction."""


def average_gradients(
    network: Network,
    parameters: Sequence[Parameter],
    batches: Iterable[tuple[Tensor, Tensor]],
    alpha: float,
) -> list[Tensor]:
    """The exponential averages of the gradients of `parameters`, of their shapes.

    Each of `batches`, of images and labels, enters with the weight `alpha`, and what came before
    with 1 - `alpha`; the average begins at zero. One that the loss does not depend on has zeros.
    Neither buffers, such as running statistics, nor torch's global generators are moved.
    """
    averages = [torch.zeros_like(parameter) for parameter in parameters]
    device = next(network.parameters()).device
    with (
        put_back(list(network.buffers())),
        torch.random.fork_rng([device] if device.type == "cuda" else []),
    ):
        for images, labels in batches:
            with torch.enable_grad():
                loss = cross_entropy(network(images).float(), labels)
                gradients = torch.autograd.grad(
                    loss, list(parameters), allow_unused=True, materialize_grads=True
                )
            torch._foreach_lerp_(averages, gradients, alpha)
    return averages


def alignment(values: Tensor, gradients: Tensor) -> Tensor:
    """The cosine between `values` and minus `gradients`, [.., n] to [.., 1], in float64.

    It is 0 where one of them is zero.
    """
    cosine = cosine_similarity(values.double(), -gradients.double(), dim=-1, eps=TINY)
    return cosine.unsqueeze(-1)


def shrink(weight: Tensor, gradient: Tensor, floor: float) -> None:
    """Multiply each vector of `weight` by its `alignment`, clipped to `floor` .. 1, in place.

    Vectors are the kernels of a convolution, [a, b, kernel, ..], one for each pair of channels; the
    rows of a matrix; and a bias as a whole.
    """
    start = 2 if weight.ndim > 2 else weight.ndim - 1
    scale = alignment(weight.flatten(start), gradient.flatten(start)).clamp(floor, 1.0)
    weight.mul_(scale.to(weight.dtype).view(*weight.shape[:start], *[1] * (weight.ndim - start)))
