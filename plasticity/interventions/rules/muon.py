"""The update rule Muon, with AdamW beside it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from plasticity.interventions.options import LEARNING_RATE, WEIGHT_DECAY
from plasticity.runs import optimisers

if TYPE_CHECKING:
    from torch.nn import Parameter
    from torch.optim import Optimizer


@optimisers.member("muon-lr{lr}[-wd{weight_decay}]", lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
def muon(parameters: Iterable[Parameter], *, lr: float, weight_decay: float) -> Optimizer:
    """Muon on hidden matrices (Jordan et al. 2024), AdamW on the first, the last and all vectors.

    Kernels are matrices [out, rest]; the first and the last layer, biases and normalisation are
    left to AdamW, as its authors do. One rate and one decay, decoupled, serve both: updates are
    scaled by 0.2 sqrt(max(out, rest)) to the size of AdamW's (Liu et al. 2025, section 2.2), so
    that AdamW's rates are those to try. Nesterov momentum 0.95, five iterations in bfloat16.
    """
    from plasticity.interventions.muon import Muon

    return Muon(parameters, lr, weight_decay)
