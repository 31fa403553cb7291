"""The update rule Adam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from plasticity.interventions.options import LEARNING_RATE, WEIGHT_DECAY
from plasticity.runs import optimisers

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer


@optimisers.member("adam-lr{lr}[-wd{weight_decay}]", lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
def adam(parameters: Iterable[Parameter], *, lr: float, weight_decay: float) -> Optimizer:
    """Adam with its usual decay rates 0.9 and 0.999 and epsilon 1e-8."""
    from torch.optim import Adam

    return Adam(parameters, lr=lr, weight_decay=weight_decay, fused=True)
