"""The training examples that have arrived by one of several stages of pretraining."""

from __future__ import annotations

import numpy as np

from plasticity.data.arrivals import arrivals
from plasticity.runs import Integer, Number, SelectionFacts, data_selections


def _size(total: int, classes: int, *, stage: int, stages: int, ratio: float) -> int:
    """Exact for a ratio of 1; for smaller ones as nearly as the classes are of one size.

    Where the classes do not go evenly into the stages, the first stages get one more.
    """

    def arrived(count: int) -> int:
        each, longer = divmod(count, stages + 1)
        return each * stage + min(stage, longer)

    uniform = round(ratio * total)
    return arrived(uniform) + round((total - uniform) * arrived(classes) / classes)


def _classes(*, stage: int, stages: int, ratio: float) -> int:
    return stages + 1 if ratio < 1.0 else 1


def _check(*, stage: int, stages: int, ratio: float) -> None:
    if stage > stages:
        raise ValueError(
            f"stage: expected at most {stages}, the number of stages before the last, got {stage}"
            "; the last stage has every example and is written 'full'"
        )


@data_selections.member(
    "stage{stage}of{stages}r{ratio}",
    facts=SelectionFacts(
        # Without the stage, as each holds those before it, and without the ratio, so that ratios
        # are compared on the same deal of the classes.
        stream="stages of {stages}",
        size=_size,
        classes=_classes,
    ),
    check=_check,
    stage=Integer(at_least=1),
    stages=Integer(at_least=1, at_most=1000),
    ratio=Number(at_least=0.0, at_most=1.0),
)
def stage(
    labels: np.ndarray, generator: np.random.Generator, *, stage: int, stages: int, ratio: float
) -> np.ndarray:
    """What has arrived by one of several stages of pretraining (Berariu et al., appendix A.3)."""
    return np.flatnonzero(arrivals(labels, generator, stages, ratio) <= stage)
