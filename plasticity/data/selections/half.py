"""Half of the training examples: what warm starts are pretrained on."""

from __future__ import annotations

import numpy as np

from plasticity.runs import SelectionFacts, data_selections


@data_selections.member("half", facts=SelectionFacts(size=lambda total, classes: total // 2))
def half(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Half of the training examples, drawn uniformly (Berariu et al., section 2)."""
    total = len(labels)
    chosen: np.ndarray = generator.permutation(total)[: total // 2]
    return chosen
