"""Paired comparisons: against numbers by hand, and against scipy."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from plasticity.stats import paired_gap

accuracies = arrays(
    np.float64, st.integers(2, 8), elements=st.integers(0, 1000).map(lambda k: k / 1000)
)


def test_by_hand():
    """Differences 1, 2 and 3: mean 2, deviation 1, standard error 1 / sqrt(3).

    The 97.5% quantile of Student's t with 2 degrees of freedom is 4.302653. Its distribution is
    P(T < t) = 1/2 + t / (2 sqrt(2 + t^2)); at t = 2 sqrt(3) the two tails hold 1 - sqrt(12 / 14).
    """
    gap = paired_gap(np.array([3.0, 5.0, 7.0]), np.array([2.0, 3.0, 4.0]))
    assert (gap.n, gap.mean, gap.deviation) == (3, 2.0, 1.0)
    assert gap.low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-6)
    assert gap.high == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-6)
    assert gap.p_value == pytest.approx(1 - math.sqrt(12 / 14), abs=1e-12)


def test_two_pairs_by_hand():
    """Differences 0 and 2, one degree of freedom: t = 1, half of Cauchy's distribution beyond."""
    gap = paired_gap(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    assert (gap.n, gap.mean) == (2, 1.0)
    assert gap.deviation == pytest.approx(math.sqrt(2))
    assert gap.p_value == pytest.approx(0.5)
    assert (gap.low, gap.high) == pytest.approx((1 - 12.7062047, 1 + 12.7062047))


@given(accuracies, st.data())
def test_the_same_as_scipy(cold, data):
    from scipy.stats import t, ttest_1samp

    warm = data.draw(arrays(np.float64, len(cold), elements=st.integers(0, 1000).map(float)))
    differences = cold - warm / 1000
    assume(differences.std() > 1e-9)
    gap = paired_gap(cold, warm / 1000)
    test = ttest_1samp(differences, 0)
    half = t.ppf(0.975, len(cold) - 1) * differences.std(ddof=1) / math.sqrt(len(cold))
    assert gap.n == len(cold)
    assert gap.mean == pytest.approx(differences.mean(), abs=1e-15)
    assert gap.deviation == pytest.approx(differences.std(ddof=1))
    assert gap.low == pytest.approx(gap.mean - half)
    assert gap.high == pytest.approx(gap.mean + half)
    assert gap.p_value == pytest.approx(test.pvalue, abs=1e-12)


@given(accuracies)
def test_the_order_of_the_pairs_does_not_matter(cold):
    warm = np.linspace(0, 1, len(cold)) ** 2
    assume((cold - warm).std() > 1e-9)
    gap, turned = paired_gap(cold, warm), paired_gap(cold[::-1], warm[::-1])
    assert (gap.mean, gap.low, gap.p_value) == pytest.approx(
        (turned.mean, turned.low, turned.p_value)
    )


def test_one_pair_has_a_gap_and_no_interval():
    gap = paired_gap(np.array([0.75]), np.array([0.5]))
    assert (gap.n, gap.mean) == (1, 0.25)
    assert all(map(math.isnan, (gap.deviation, gap.low, gap.high, gap.p_value)))


@pytest.mark.parametrize(
    ("cold", "warm", "gap"),
    [
        ([0.5, 0.7, 0.9], [0.5, 0.7, 0.9], 0.0),
        ([0.75, 0.5], [0.5, 0.25], 0.25),
        ([0.8, 0.9, 0.7], [0.7, 0.8, 0.6], 0.1),  # alike but for rounding
    ],
)
def test_pairs_that_differ_alike_tell_nothing_about_the_next(cold, warm, gap):
    found = paired_gap(np.array(cold), np.array(warm))
    assert found.mean == pytest.approx(gap)
    assert found.deviation == 0
    assert all(map(math.isnan, (found.low, found.high, found.p_value)))


@pytest.mark.parametrize(("cold", "warm"), [([], []), ([0.5], []), ([0.5, 0.6], [0.5])])
def test_what_is_not_in_pairs_is_an_error(cold, warm):
    with pytest.raises(ValueError, match=f"expected pairs, got {len(cold)} cold and {len(warm)}"):
        paired_gap(np.array(cold), np.array(warm))
