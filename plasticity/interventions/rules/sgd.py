"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from plasticity.interventions.options import LEARNING_RATE, MOMENTUM, WEIGHT_DECAY
from plasticity.runs import optimisers

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer


@optimisers.member(
    "sgd-lr{lr}[-m{momentum}][-wd{weight_decay}]",
    lr=LEARNING_RATE,
    momentum=MOMENTUM,
    weight_decay=WEIGHT_DECAY,
)
def sgd(
    parameters: Iterable[Parameter], *, lr: float, momentum: float, weight_decay: float
) -> Optimizer:
    """Stochastic gradient descent, with classical momentum where it is above zero."""
    from torch.optim import SGD

    return SGD(parameters, lr=lr, momentum=momentum, weight_decay=weight_decay, fused=True)
