"""The curvature of the loss at a state: eigenvalues, traces and the spectrum, raw and scale-free.

All in evaluation mode, inside `rows.evaluation_mode`, which takes statistics of normalisation
anew. A product costs two passes forward and backward over the batches.

**Scale.** A weight w before normalisation may be multiplied by any a > 0 without changing the
network: the raw curvature along it is then divided by a^2, and a larger network, whose weights
have other norms, differs by that alone. Report beside it the curvature in units of the weights,
T H T with a diagonal T of norms by filter or by layer (`Curvature.scaled`): it does not change.

The unit of the Hessian is nats / weight^2, that of T H T nats. At an accuracy of 100% the
cross-entropy can be flattened by larger logits alone: compare at equal training loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from plasticity.measures.estimates import Estimate, mean
from plasticity.measures.rows import (
    Examples,
    apart,
    gradients_of,
    in_a_row,
    logits_of,
    norm,
    trainable,
)
from plasticity.models import masks


@dataclass(frozen=True)
class Curvature:
    """A symmetric matrix [n, n] by its products with rows float32 [n] on a `device`.

    It has what curvlinops and SciPy ask of an operator.
    """

    size: int
    device: torch.device
    times: Callable[[Tensor], Tensor]
    dtype: torch.dtype = torch.float32

    @property
    def shape(self) -> tuple[int, int]:
        """[n, n]."""
        return (self.size, self.size)

    def __matmul__(self, row: Tensor) -> Tensor:
        return self.times(row)

    def scaled(self, scale: Tensor) -> Curvature:
        """T H T with T the diagonal `scale`, [n]: zeros and ones choose a block."""
        return Curvature(self.size, self.device, lambda row: scale * self.times(scale * row))

    def to_scipy(self) -> Any:
        """The same for SciPy, in float32."""
        from scipy.sparse.linalg import LinearOperator

        def product(column: np.ndarray) -> np.ndarray:
            row = torch.from_numpy(np.asarray(column, dtype=np.float32).reshape(-1))
            return self.times(row.to(self.device)).cpu().numpy()

        return LinearOperator(self.shape, matvec=product, dtype=np.float32)


def hessian(network: nn.Module, batches: Sequence[Examples]) -> Curvature:
    """The Hessian of the mean cross-entropy over `batches`, of all that is trained.

    `network` is in evaluation mode, as in `rows.evaluation_mode`. A product is the gradient of the
    gradient along the row (Pearlmutter 1994). Raises `ValueError` in training mode.
    """
    parameters = _ready(network)

    def times(row: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        loss = cross_entropy(logits_of(network, images), labels, reduction="sum")
        slopes = gradients_of(loss, parameters, create_graph=True)
        return in_a_row(gradients_of(_along(slopes, row), parameters))

    return _over(batches, parameters, times)


def gauss_newton(network: nn.Module, batches: Sequence[Examples]) -> Curvature:
    """The generalised Gauss-Newton matrix of the same loss (Schraudolph 2002, section 3).

    J' (d^2 loss / d logits^2) J: the Hessian without the curvature of the network itself, never
    negative. For cross-entropy it is the Fisher matrix, of labels drawn from the network's own
    prediction (Martens 2020, section 9): its trace is the Fisher trace of Achille et al. 2019.
    Raises `ValueError` in training mode.
    """
    parameters = _ready(network)

    def times(row: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        logits = logits_of(network, images)
        # J' u is linear in u: its derivative along the row is J times the row.
        pull = torch.zeros_like(logits, requires_grad=True)
        pulled = gradients_of(logits, parameters, pull, create_graph=True)
        (pushed,) = torch.autograd.grad(_along(pulled, row), pull, retain_graph=True)
        chances = logits.detach().softmax(dim=1)
        bent = chances * (pushed - (chances * pushed).sum(dim=1, keepdim=True))
        return in_a_row(gradients_of(logits, parameters, bent))

    return _over(batches, parameters, times)


def _ready(network: nn.Module) -> list[nn.Parameter]:
    """What is trained of `network`, which is in evaluation mode."""
    if network.training:
        raise ValueError("network in training mode; measure curvature in rows.evaluation_mode")
    return list(trainable(network).values())


def _along(pieces: Sequence[Tensor], row: Tensor) -> Tensor:
    """The inner product of `pieces` and `row`, [n], to be differentiated."""
    parts = zip(pieces, apart(row, pieces), strict=True)
    return torch.stack([(piece * part).sum() for piece, part in parts]).sum()


def _over(
    batches: Sequence[Examples],
    parameters: Sequence[nn.Parameter],
    times: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Curvature:
    """The mean over all examples of what `times` gives as a sum over a batch.

    Derivatives are those of two backward passes. Those of torch.func, which curvlinops takes, are
    wrong in torch 2.13 for the weights of layer normalisation, and missing for group normalisation.
    """
    count = sum(len(labels) for _, labels in batches)

    def product(row: Tensor) -> Tensor:
        # Attention that is fused into one operation has first derivatives only.
        with sdpa_kernel(SDPBackend.MATH):
            parts = [times(row, images, labels) for images, labels in batches]
        return torch.stack(parts).sum(dim=0) / count

    return Curvature(sum(p.numel() for p in parameters), parameters[0].device, product)


# Eigenvalues


def largest(
    curvature: Curvature, count: int, generator: torch.Generator, tolerance: float = 1e-2
) -> tuple[Tensor, Tensor]:
    """The `count` algebraically largest eigenvalues, falling, float64 [k]; vectors float32 [k, n].

    Both are on the CPU. Lanczos with restarts (ARPACK) to a relative `tolerance`, from a start
    that `generator`, on the CPU, draws; an eigenvalue comes out too small rather than too large.
    Costs some tens of products. Raises `ValueError` for as many as there are weights.
    """
    from scipy.sparse.linalg import eigsh

    if not 1 <= count < curvature.size:
        raise ValueError(f"{count} eigenvalues of {curvature.size}, expected 1 or more, and fewer")
    start = torch.randn(curvature.size, generator=generator).numpy()
    vectors = min(curvature.size, max(2 * count + 1, 10))
    found, columns = eigsh(
        curvature.to_scipy(), k=count, which="LA", ncv=vectors, v0=start, tol=tolerance
    )
    order = np.argsort(found)[::-1]
    rows = torch.from_numpy(np.ascontiguousarray(columns[:, order].T, dtype=np.float32))
    return torch.from_numpy(found[order].astype(np.float64)), rows


def trace(curvature: Curvature, draws: int, generator: torch.Generator) -> Estimate:
    """The trace by Hutchinson 1990: the mean of z' H z over `draws` of random signs z.

    Unbiased; the error is that of the mean. The variance of a draw is twice the sum of the squared
    entries off the diagonal. Costs a product a draw; `generator` is on the CPU.
    """
    found = []
    for _ in range(draws):
        signs = torch.randint(2, (curvature.size,), generator=generator) * 2.0 - 1
        row = signs.to(curvature.device)
        found.append(float((curvature @ row).double().dot(row.double())))
    return mean(found)


def spectrum(
    curvature: Curvature, steps: int, repeats: int, points: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The spectral density on a grid: eigenvalues [points] and the density there, [points].

    Stochastic Lanczos quadrature (Ghorbani et al. 2019; Papyan 2020, algorithm 2) of
    `steps` products, at most n, each of `repeats` times. Each eigenvalue is widened to a normal
    density whose width falls with `steps` (as curvlinops does it): its integral is about 1, single
    eigenvalues are not resolved, and few among n are seen by chance.
    """
    from curvlinops import lanczos_approximate_spectrum

    negated = Curvature(curvature.size, curvature.device, lambda row: -curvature.times(row))
    highest, lowest = (float(largest(each, 1, generator)[0][0]) for each in (curvature, negated))
    devices = [curvature.device] if curvature.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):  # it draws from the global generator
        torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
        grid, density = lanczos_approximate_spectrum(
            curvature, steps, num_points=points, num_repeats=repeats,
            boundaries=(-lowest, highest),
        )  # fmt: skip
    return grid.cpu(), density.cpu()


# What to scale by


def filter_norms(network: nn.Module) -> Tensor:
    """The norm of its filter for each weight, [n]; zero for biases and normalisation.

    A filter is what makes one output unit: the first index of a weight (Li et al. 2018, section 4).
    Weights that are exactly zero, as removed by pruning, count as zero too. T H T with this T is
    curvature against changes that are relative to each filter: the second-order term of adaptive
    sharpness (Kwon et al. 2021, section 3).
    """
    return _scales(network, _filter_norms)


def filter_deviations(network: nn.Module) -> Tensor:
    """The root mean square of the weights of its filter, [n], otherwise as `filter_norms`.

    Normal noise of this deviation has, on average, the size of the filter: the trace of T H T is
    twice the rise of the loss a relative variance (`perturbed.under_noise`) to second order.
    """
    return _scales(
        network, lambda weight: _filter_norms(weight) / _alive(weight).sqrt().clamp(min=1)
    )


def layer_norms(network: nn.Module, layer: str | None = None) -> Tensor:
    """The norm of its layer's weights for each weight, [n], otherwise as `filter_norms`.

    With the name of one `layer`'s weight all others are zero: the largest eigenvalue of T H T is
    then lambda_max |w|^2 of the Hessian's block. Raises `ValueError` for one that is not there.
    """
    known = masks.prunable(network)
    if layer is not None and layer not in known:
        raise ValueError(f"no weight {layer!r} in the network, expected one of {', '.join(known)}")
    return _scales(network, norm, layer)


def _filter_norms(weight: Tensor) -> Tensor:
    dims = tuple(range(1, weight.ndim))
    norms: Tensor = torch.linalg.vector_norm(weight, dim=dims, keepdim=True)
    return norms


def _alive(weight: Tensor) -> Tensor:
    """How many weights of each filter are not zero, in the shape of its norm."""
    dims = tuple(range(1, weight.ndim))
    return (weight != 0).sum(dim=dims, keepdim=True)


def _scales(
    network: nn.Module, size: Callable[[Tensor], Tensor], layer: str | None = None
) -> Tensor:
    weights = masks.prunable(network)
    pieces = []
    for name, parameter in trainable(network).items():
        weight = weights.get(name) if layer in (None, name) else None
        scale = parameter.new_zeros(()) if weight is None else size(weight) * (weight != 0)
        pieces.append(scale.to(parameter.dtype).expand(parameter.shape))
    return in_a_row(pieces)


# Subspaces


def share_within(row: Tensor, basis: Tensor) -> float:
    """The share of the squared norm of `row` [n] within the span of `basis` [k, n]: 0 .. 1.

    The basis is orthonormal, as of `largest`, on the same device. Of the gradient within the top k
    eigenvectors, k the number of classes, it comes near 1 after some steps (Gur-Ari et al. 2018);
    of a random row it is k / n.
    """
    row = row.double()
    return float((basis.double() @ row).square().sum() / row.square().sum())


def overlap(one: Tensor, other: Tensor) -> float:
    """The overlap of two subspaces of dimension k, by orthonormal bases [k, n] each: 0 .. 1.

    tr(P Q) / k of their projections, the mean share of a basis vector of one within the other
    (Gur-Ari et al. 2018); of random ones k / n. Raises `ValueError` for other shapes.
    """
    if one.shape != other.shape:
        raise ValueError(f"bases {tuple(one.shape)} and {tuple(other.shape)}, expected one shape")
    return float((one.double() @ other.double().T).square().sum() / len(one))
