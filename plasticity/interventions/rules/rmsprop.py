"""The update rule RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from plasticity.interventions.options import LEARNING_RATE, WEIGHT_DECAY
from plasticity.runs import optimisers

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer


@optimisers.member("rmsprop-lr{lr}[-wd{weight_decay}]", lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
def rmsprop(parameters: Iterable[Parameter], *, lr: float, weight_decay: float) -> Optimizer:
    """RMSprop with smoothing 0.99 and epsilon 1e-8."""
    from torch.optim import RMSprop

    return RMSprop(parameters, lr=lr, weight_decay=weight_decay, foreach=True)
