"""The update rule AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from plasticity.interventions.options import LEARNING_RATE, WEIGHT_DECAY
from plasticity.runs import optimisers

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer


@optimisers.member("adamw-lr{lr}[-wd{weight_decay}]", lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
def adamw(parameters: Iterable[Parameter], *, lr: float, weight_decay: float) -> Optimizer:
    """Adam whose weight decay is decoupled from the gradient (Loshchilov & Hutter 2019, alg. 2).

    Each step takes off lr * wd of every parameter, biases and normalisation too. Without -wd there
    is no decay: torch's default of 0.01 is spelt. Decay rates 0.9 and 0.999, epsilon 1e-8.
    """
    from torch.optim import AdamW

    return AdamW(parameters, lr=lr, weight_decay=weight_decay, fused=True)
