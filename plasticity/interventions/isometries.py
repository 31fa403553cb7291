"""The isometries that are nearest to weights, by Newton and Schulz: what FIRE sets them to."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from plasticity.interventions.layers import Layer

TINY = 1e-30
"""Norms are at least this, so that zero stays zero."""


def nearest(matrices: Tensor, iterations: int) -> Tensor:
    """About U V' of each of `matrices` = U S V', float [.., n, m].

    Newton and Schulz: `iterations` of 1.5 X - 0.5 X X' X from the matrix over its Frobenius norm.
    A singular value of a share s of that norm is 1 in the end where 1.5^iterations s is well above
    1; smaller ones are not there yet.
    """
    wide = matrices.shape[-2] < matrices.shape[-1]
    tall = matrices.mT if wide else matrices
    x = tall.reshape(-1, *tall.shape[-2:]).contiguous()  # products are quicker so
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=TINY)
    for _ in range(iterations):
        x = torch.baddbmm(x, x, x.mT @ x, beta=1.5, alpha=-0.5)
    x = x.reshape(tall.shape)
    return x.mT if wide else x


def isometric(layer: Layer, iterations: int) -> Tensor:
    """The weight of `layer` with each tap the `nearest` isometry, times sqrt(out / in) / taps.

    A tap is the matrix of all channels at one place of the kernel, of which a linear layer has one;
    the groups of a convolution have taps of their own.
    """
    weight = layer.weight
    taps = weight.reshape(layer.groups, len(weight) // layer.groups, weight.shape[1], -1)
    taps = taps.permute(0, 3, 1, 2)
    _, places, rows, columns = taps.shape
    ratio = columns / rows if layer.transposed else rows / columns
    scale = math.sqrt(ratio) / places
    return (scale * nearest(taps, iterations)).permute(0, 2, 3, 1).reshape(weight.shape)
