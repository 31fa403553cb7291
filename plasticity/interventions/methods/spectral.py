"""A pull of each layer's largest singular value towards one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plasticity.interventions.method import Method, Pass
from plasticity.runs import Integer, MethodFacts, Number, methods

if TYPE_CHECKING:
    from torch import Tensor

    from plasticity.models.network import Network

FIRST = 20
"""Iterations before the first step, from random vectors: too small a value would be pulled up."""


class Spectral(Method):
    """See `spectral`. `left` has the left singular vector of each matrix, [rows], as estimated."""

    def __init__(self, network: Network, strength: float, exponent: int) -> None:
        import torch

        from plasticity.interventions.layers import layers

        self.strength = strength
        self.exponent = exponent
        self.weights = [layer.weight for layer in layers(network)]
        # On the CPU, so that they are the same on every device.
        self.left = [torch.randn(len(one)).to(one.device) for one in self.weights]
        for weight, left in zip(self.weights, self.left, strict=True):
            for _ in range(FIRST):
                _iterate(weight.detach().flatten(1), left)

    def loss(self, at: Pass) -> Tensor:
        """``strength`` times the sum over layers of (sigma^exponent - 1)^2."""
        import torch

        terms = []
        for weight, left in zip(self.weights, self.left, strict=True):
            matrix = weight.flatten(1)
            right = _iterate(matrix.detach(), left)
            terms.append((torch.dot(left, matrix @ right) ** self.exponent - 1).square())
        return self.strength * torch.stack(terms).sum()


def _iterate(matrix: Tensor, left: Tensor) -> Tensor:
    """One power iteration on `matrix`, [n, m]: `left`, [n], in place, and the right vector, [m].

    Where the matrix is zero, `left` stays as it is, so that it is of use later.
    """
    import torch
    from torch.nn.functional import normalize

    right = normalize(matrix.T @ left, dim=0)
    product = matrix @ right
    size = product.norm()
    left.copy_(torch.where(size > 0, product / size, left))
    return right


@methods.member(
    "spectral{strength}[-k{exponent}]",
    facts=MethodFacts(acts="loss"),
    strength=Number(above=0),
    exponent=Integer(at_least=1, default=2),
)
def spectral(network: Network, initial: Network, *, strength: float, exponent: int) -> Method:
    """The loss plus `strength` times the sum over layers of (sigma_max^`exponent` - 1)^2.

    Lewandowski et al. 2024 (*Learning Continually by Spectral Regularization*), exponent 2. Over
    the weights of all convolutions, linear layers and attention, the head too; kernels are matrices
    [out, in x k x k]. The largest singular value is estimated by one power iteration each time the
    loss is evaluated, from where the one before left off. Biases and normalisation are left alone;
    public reimplementations add |b|^(2 `exponent`) of each bias.
    """
    return Spectral(network, strength, exponent)
