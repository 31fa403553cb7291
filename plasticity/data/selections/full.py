"""Every training example."""

from __future__ import annotations

import numpy as np

from plasticity.runs import data_selections


@data_selections.member("full")
def full(labels: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Every training example."""
    return np.arange(len(labels))
