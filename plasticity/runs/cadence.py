"""At which iterations telemetry measures."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, fields

from plasticity.core.errors import shown
from plasticity.runs.bounds import MOST_A_DECADE, MOST_OBSERVED


@dataclass(frozen=True)
class Cadence:
    """When to look during the first `iterations` steps, of which 0 is the beginning.

    At every iteration up to `each`, then `per_decade` times while the iteration grows tenfold, on
    a logarithmic grid that holds the powers of ten. Evaluation costs the most: it has a coarser
    grid, with `evaluations_per_decade`. Frankle et al. do not state theirs: the defaults are ours,
    but for the 4,000 iterations. Raises `ValueError` for a number out of bounds.
    """

    iterations: int = 4000
    each: int = 100
    per_decade: int = 20
    evaluations_per_decade: int = 3

    def __post_init__(self) -> None:
        bounds = {
            "iterations": (1, MOST_OBSERVED),
            "each": (0, MOST_OBSERVED),
            "per_decade": (1, MOST_A_DECADE),
            "evaluations_per_decade": (1, MOST_A_DECADE),
        }
        for field in fields(self):
            value, (low, high) = getattr(self, field.name), bounds[field.name]
            if type(value) is not int or not low <= value <= high:
                raise ValueError(
                    f"{field.name}: {shown(value)}, expected a whole number from {low} to {high:,}"
                )

    def observed(self) -> list[int]:
        """The iterations at which the weights are looked at, rising, the first and last included.

        An `each` beyond the last iteration means every one.
        """
        early = range(min(self.each, self.iterations) + 1)
        later = map(round, self._grid(self.per_decade))
        return sorted({*early, *later, self.iterations})

    def evaluated(self) -> list[int]:
        """Those of `observed` at which the network is evaluated too: the closest to its grid."""
        observed = self.observed()

        def closest(point: float) -> int:
            after = bisect_left(observed, point)
            low, high = observed[after - 1], observed[after]
            return high if low * high < point**2 else low  # in ratio, as the grid is spaced

        return sorted({0, self.iterations, *map(closest, self._grid(self.evaluations_per_decade))})

    def _grid(self, per_decade: int) -> Iterator[float]:
        """The points of a logarithmic grid from 1 to below the last iteration."""
        number = 0
        while (point := 10 ** (number / per_decade)) < self.iterations:
            yield point
            number += 1
