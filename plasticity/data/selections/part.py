"""A fraction of the training examples."""

from __future__ import annotations

import numpy as np

from plasticity.runs import Number, SelectionFacts, data_selections


def _size(total: int, classes: int, *, fraction: float) -> int:
    return round(fraction * total)


@data_selections.member(
    "part{fraction}",
    # One stream for all fractions: a smaller part of a seed is within a larger one.
    facts=SelectionFacts(size=_size, stream="part"),
    fraction=Number(above=0.0, below=1.0),
)
def part(labels: np.ndarray, generator: np.random.Generator, *, fraction: float) -> np.ndarray:
    """A fraction of the training examples, drawn uniformly; smaller ones are within larger ones."""
    total = len(labels)
    chosen: np.ndarray = generator.permutation(total)[: _size(total, 0, fraction=fraction)]
    return chosen
