"""Update rules by name.

The rate that one is made with is constant, or drops after the epochs that its name tells
(`stages.Stage.rate`). To add one, declare a function of the parameters that returns a torch
optimiser. Its `step` is called without the wrappers that torch puts around it
(`engine.bare_update`), so it may not rely on wrappers of its own. All optimisers start a stage with
fresh state (Berariu et al., appendix A).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from plasticity.runs import Number, optimisers

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer

LEARNING_RATE = Number(above=0)
MOMENTUM = Number(at_least=0, below=1, default=0.0)
WEIGHT_DECAY = Number(at_least=0, default=0.0)


@optimisers.member("adam-lr{lr}[-wd{weight_decay}]", lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
def adam(parameters: Iterable[Parameter], *, lr: float, weight_decay: float) -> Optimizer:
    """Adam with its usual decay rates 0.9 and 0.999 and epsilon 1e-8."""
    from torch.optim import Adam

    return Adam(parameters, lr=lr, weight_decay=weight_decay, fused=True)


@optimisers.member("rmsprop-lr{lr}[-wd{weight_decay}]", lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
def rmsprop(parameters: Iterable[Parameter], *, lr: float, weight_decay: float) -> Optimizer:
    """RMSprop with smoothing 0.99 and epsilon 1e-8."""
    from torch.optim import RMSprop

    return RMSprop(parameters, lr=lr, weight_decay=weight_decay, foreach=True)


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
