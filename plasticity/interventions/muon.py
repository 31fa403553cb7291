"""The optimiser Muon, with AdamW for what is not a hidden matrix."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer
from torch.optim.adamw import adamw

from plasticity.core.errors import UserError

MOMENTUM = 0.95
NEWTON_SCHULZ = (3.4445, -4.775, 2.0315)
"""Coefficients of the iteration (Jordan et al. 2024)."""
ITERATIONS = 5
RMS = 0.2
"""The root mean square of AdamW's updates, which those of Muon are scaled to (Liu et al. 2025)."""


class Muon(Optimizer):
    """One optimiser of two groups: hidden matrices by Muon, all other parameters by AdamW.

    Hidden matrices are the parameters of two and more dimensions and of more than one row, but the
    first and the last of them, flattened to [out, rest]. All that it remembers is in the state of
    each parameter. Raises `UserError` where there is none.
    """

    def __init__(self, parameters: Iterable[Parameter], lr: float, weight_decay: float) -> None:
        every = list(parameters)
        # What has one row, such as a class token or positions, is no matrix of a layer.
        hidden = [one for one in every if one.ndim > 1 and len(one) > 1][1:-1]
        if not hidden:
            raise UserError(
                "optimiser muon: the network has no weights between its first and its last layer, "
                "which is all that Muon trains; take adamw, which trains the others, or a deeper "
                "network"
            )
        others = [one for one in every if all(one is not matrix for matrix in hidden)]
        groups: list[dict[str, Any]] = [
            {"params": hidden, "hidden": True},
            {"params": others, "hidden": False},
        ]
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One step by the gradients that are there."""
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            if group["hidden"]:
                for parameter in trained:
                    self._step_on_matrix(parameter, group["lr"], group["weight_decay"])
            elif trained:
                self._step_on_others(trained, group["lr"], group["weight_decay"])

    def _step_on_matrix(self, weight: Parameter, lr: float | Tensor, weight_decay: float) -> None:
        state, gradient = self.state[weight], weight.grad
        assert gradient is not None
        if not state:
            state["momentum"] = torch.zeros_like(weight)
        momentum = state["momentum"].lerp_(gradient, 1 - MOMENTUM)
        update = orthogonal(gradient.lerp(momentum, MOMENTUM).flatten(1)).reshape(weight.shape)
        scale = RMS * math.sqrt(max(len(weight), weight[0].numel()))
        # The rate comes last, as it may be a tensor in a recorded step: the same bits in any other.
        weight.sub_((update.to(weight.dtype) * scale + weight * weight_decay) * lr)

    def _step_on_others(
        self, weights: list[Parameter], lr: float | Tensor, weight_decay: float
    ) -> None:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight].update(
                    step=torch.zeros((), device=weight.device),
                    mean=torch.zeros_like(weight),
                    square=torch.zeros_like(weight),
                )
        steps, means, squares = (
            [self.state[weight][name] for weight in weights] for name in ("step", "mean", "square")
        )
        adamw(
            *(list(weights), [weight.grad for weight in weights], means, squares, [], steps),  # type: ignore[arg-type]
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=lr,
            weight_decay=weight_decay,
            eps=1e-8,
            maximize=False,
        )


def orthogonal(matrix: Tensor) -> Tensor:
    """About U V' of `matrix` = U S V', float [n, m], by Newton and Schulz, in bfloat16.

    Singular values end near 1, between 0.7 and 1.2 (Jordan et al. 2024).
    """
    a, b, c = NEWTON_SCHULZ
    wide = len(matrix) <= matrix.shape[1]
    x = (matrix if wide else matrix.T).bfloat16()
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.T
        x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.T
