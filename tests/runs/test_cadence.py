"""At which iterations telemetry looks and evaluates."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plasticity.runs.cadence import Cadence

cadences = st.builds(
    Cadence,
    iterations=st.integers(1, 20_000),
    each=st.integers(0, 300),
    per_decade=st.integers(1, 40),
    evaluations_per_decade=st.integers(1, 40),
)


class TestCadence:
    @given(cadences)
    def test_it_rises_from_the_beginning_to_the_last_iteration(self, cadence: Cadence):
        for looked in (cadence.observed(), cadence.evaluated()):
            assert looked == sorted(set(looked))
            assert looked[0] == 0
            assert looked[1] == 1
            assert looked[-1] == cadence.iterations

    @given(cadences)
    def test_what_is_evaluated_is_observed(self, cadence: Cadence):
        assert set(cadence.evaluated()) <= set(cadence.observed())

    @given(cadences)
    def test_the_early_iterations_are_all_observed(self, cadence: Cadence):
        last = min(cadence.each, cadence.iterations)
        assert cadence.observed()[: last + 1] == list(range(last + 1))

    @given(cadences)
    def test_later_on_the_grid_is_logarithmic(self, cadence: Cadence):
        # Once the grid is wider than whole numbers are apart.
        step = 10 ** (1 / cadence.per_decade)
        first = max(cadence.each, 1, math.ceil(2 / (step - 1)))
        late = [i for i in cadence.observed() if i > first][:-1]
        for before, after in pairwise(late):
            assert after / before == pytest.approx(step, abs=1 / before * (1 + step))

    def test_the_default(self):
        observed, evaluated = Cadence().observed(), Cadence().evaluated()
        assert observed[100:106] == [100, 112, 126, 141, 158, 178]
        assert 1000 in observed
        assert len(observed) == 134
        assert evaluated == [0, 1, 2, 5, 10, 22, 46, 100, 224, 447, 1000, 2239, 4000]

    def test_the_smallest(self):
        cadence = Cadence(iterations=1, each=0, per_decade=1, evaluations_per_decade=1)
        assert cadence.observed() == cadence.evaluated() == [0, 1]

    @pytest.mark.parametrize("field", list(Cadence.__dataclass_fields__))
    @pytest.mark.parametrize("value", [-1, 10**9, 2.5, "4", True, None])
    def test_what_is_no_count_is_refused_by_name(self, field: str, value: object):
        with pytest.raises(ValueError, match=f"^{field}: .*expected a whole number"):
            Cadence(**{field: value})
