"""One of several equal chunks of the training examples."""

from __future__ import annotations

import numpy as np

from plasticity.runs import Integer, SelectionFacts, data_selections


def _size(total: int, classes: int, *, chunk: int, chunks: int) -> int:
    return total * chunk // chunks - total * (chunk - 1) // chunks


def _check(*, chunk: int, chunks: int, **common: object) -> None:
    if chunk > chunks:
        raise ValueError(f"chunk: expected at most {chunks}, the number of chunks, got {chunk}")


@data_selections.member(
    "chunk{chunk}of{chunks}",
    # One shuffle for all numbers of chunks.
    facts=SelectionFacts(size=_size, stream="chunks"),
    check=_check,
    chunk=Integer(at_least=1),
    chunks=Integer(at_least=2),
)
def chunk(
    labels: np.ndarray, generator: np.random.Generator, *, chunk: int, chunks: int
) -> np.ndarray:
    """One of so many consecutive chunks of one shuffle, as equal as they go: no two overlap."""
    total = len(labels)
    first, end = (total * number // chunks for number in (chunk - 1, chunk))
    chosen: np.ndarray = generator.permutation(total)[first:end]
    return chosen
