"""In which of several stages of training each example arrives (Berariu et al., appendix A.3)."""

from __future__ import annotations

import numpy as np

from plasticity.core.errors import UserError


def arrivals(
    labels: np.ndarray, generator: np.random.Generator, stages: int, ratio: float
) -> np.ndarray:
    """The stage in 1 .. `stages` + 1 in which each example arrives, int64 [n].

    `stages` counts those of pretraining; the last stage, on everything, comes after them. A random
    part of share `ratio` is cut evenly among all stages, whatever its classes; the rest arrives
    class by class, the classes being dealt out at random and as evenly as they go. Raises
    `UserError` where there are fewer classes than stages to deal them out to.
    """
    groups = stages + 1
    classes = np.unique(labels)
    if ratio < 1.0 and len(classes) < groups:
        raise UserError(
            f"{stages} stages of pretraining and the last one need at least {groups} classes to "
            f"deal out, and there are {len(classes)}; take fewer stages or a ratio of 1"
        )
    order = generator.permutation(len(labels))
    arrival = np.empty(len(labels), dtype=np.int64)
    uniform = order[: round(ratio * len(labels))]
    for position, piece in enumerate(np.array_split(uniform, groups)):
        arrival[piece] = position + 1
    rest = order[len(uniform) :]
    for position, group in enumerate(np.array_split(generator.permutation(classes), groups)):
        arrival[rest[np.isin(labels[rest], group)]] = position + 1
    return arrival
