"""What planning must know of a data set, found without decoding it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scan:
    """A data set in numbers, as `plasticity.runs.facts.DatasetFacts` has them."""

    train: int
    test: int
    classes: int
    channels: int
    height: int
    width: int
