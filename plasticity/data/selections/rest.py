"""What `half` leaves of the training examples."""

from __future__ import annotations

import numpy as np

from plasticity.runs import SelectionFacts, data_selections


@data_selections.member(
    "rest",
    facts=SelectionFacts(size=lambda total, classes: total - total // 2, stream="half"),
)
def rest(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """The other half: the training examples that `half` of the same seed leaves."""
    total = len(labels)
    left: np.ndarray = generator.permutation(total)[total // 2 :]
    return left
