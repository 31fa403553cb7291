"""The update rule NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from plasticity.interventions.options import LEARNING_RATE, WEIGHT_DECAY
from plasticity.runs import optimisers

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer


@optimisers.member("nadam-lr{lr}[-wd{weight_decay}]", lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
def nadam(parameters: Iterable[Parameter], *, lr: float, weight_decay: float) -> Optimizer:
    """Adam with Nesterov momentum (Dozat 2016), whose momentum warms up by 0.004 as in torch.

    Weight decay is part of the gradient, as in Adam. Decay rates 0.9 and 0.999, epsilon 1e-8.
    """
    from torch.optim import NAdam

    return NAdam(parameters, lr=lr, weight_decay=weight_decay, foreach=True)
