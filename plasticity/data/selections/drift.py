"""Sampling that drifts from half of the training examples to all of them."""

from __future__ import annotations

import numpy as np

from plasticity.data.selections.half import half
from plasticity.runs import Number, SelectionFacts, data_selections


def fraction_of_all(progress: float, *, gamma: float) -> float:
    """The formula of Berariu et al., appendix A.2; `progress` is n / N."""
    return 1.0 - float(gamma ** (50.0 * progress))


@data_selections.member(
    "drift{gamma}",
    facts=SelectionFacts(stream="half", fraction_of_all=fraction_of_all),
    gamma=Number(above=0.0, below=1.0),
)
def drift(labels: np.ndarray, generator: np.random.Generator, *, gamma: float) -> np.ndarray:
    """The same half, from which sampling drifts to all examples (Berariu et al., figure 3)."""
    return half(labels, generator)
