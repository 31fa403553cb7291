"""Every training example, drawn with replacement."""

from __future__ import annotations

import numpy as np

from plasticity.runs import SelectionFacts, data_selections


@data_selections.member("resampled", facts=SelectionFacts(fraction_of_all=lambda progress: 1.0))
def resampled(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Every training example, but drawn with replacement: the control of figure 3."""
    return np.arange(len(labels))
