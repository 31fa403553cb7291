"""Paired comparisons: against numbers by hand, against scipy and against published tables."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from plasticity.analysis.stats import (
    POWER,
    holm,
    mean_difference,
    p_above,
    paired_gap,
    seeds_needed,
    slopes,
)

accuracies = arrays(
    np.float64, st.integers(2, 8), elements=st.integers(0, 1000).map(lambda k: k / 1000)
)


def test_by_hand():
    """Differences 1, 2 and 3: mean 2, deviation 1, standard error 1 / sqrt(3).

    The 97.5% quantile of Student's t with 2 degrees of freedom is 4.302653. Its distribution is
    P(T < t) = 1/2 + t / (2 sqrt(2 + t^2)); at t = 2 sqrt(3) the two tails hold 1 - sqrt(12 / 14).
    """
    gap = paired_gap(np.array([3.0, 5.0, 7.0]), np.array([2.0, 3.0, 4.0]))
    assert (gap.n, gap.mean, gap.std) == (3, 2.0, 1.0)
    assert gap.low == pytest.approx(2 - 4.302653 / math.sqrt(3), abs=1e-6)
    assert gap.high == pytest.approx(2 + 4.302653 / math.sqrt(3), abs=1e-6)
    assert gap.p_value == pytest.approx(1 - math.sqrt(12 / 14), abs=1e-12)


def test_two_pairs_by_hand():
    """Differences 0 and 2, one degree of freedom: t = 1, half of Cauchy's distribution beyond."""
    gap = paired_gap(np.array([1.0, 3.0]), np.array([1.0, 1.0]))
    assert (gap.n, gap.mean) == (2, 1.0)
    assert gap.std == pytest.approx(math.sqrt(2))
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
    assert gap.std == pytest.approx(differences.std(ddof=1))
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
    assert all(map(math.isnan, (gap.std, gap.low, gap.high, gap.p_value)))


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
    assert found.std == 0
    assert all(map(math.isnan, (found.low, found.high, found.p_value)))


@pytest.mark.parametrize(("cold", "warm"), [([], []), ([0.5], []), ([0.5, 0.6], [0.5])])
def test_what_is_not_in_pairs_is_an_error(cold, warm):
    with pytest.raises(ValueError, match=f"expected pairs, got {len(cold)} cold and {len(warm)}"):
        paired_gap(np.array(cold), np.array(warm))


def test_the_mean_of_nothing_is_an_error():
    with pytest.raises(ValueError, match="at least one difference"):
        mean_difference(np.array([]))


# One-sided tests


def test_a_one_sided_test_by_hand():
    """Differences 1, 2 and 3 as above: the upper tail alone, and about a bound of 2 one half."""
    differences = np.array([1.0, 2.0, 3.0])
    assert p_above(differences, 0.0) == pytest.approx((1 - math.sqrt(12 / 14)) / 2)
    assert p_above(differences, 2.0) == pytest.approx(0.5)
    assert p_above(-differences, 0.0) == pytest.approx((1 + math.sqrt(12 / 14)) / 2)


@given(accuracies, st.floats(-1, 1))
def test_one_sided_the_same_as_scipy(differences, bound):
    from scipy.stats import ttest_1samp

    assume(np.ptp(differences) > 1e-9)
    expected = ttest_1samp(differences, bound, alternative="greater").pvalue
    assert p_above(differences, bound) == pytest.approx(expected, abs=1e-12)
    # The other direction is the other tail.
    assert p_above(-differences, -bound) == pytest.approx(1 - expected, abs=1e-9)


@pytest.mark.parametrize("differences", [[], [1.0], [2.0, 2.0, 2.0]])
def test_without_scatter_there_is_no_test(differences):
    assert math.isnan(p_above(np.array(differences), 0.0))


# Slopes


def test_slopes_by_hand():
    """Over 0, 1 and 2 the slope is half of the last less the first."""
    values = np.array([[1.0, 5.0, 2.0], [4.0, 4.0, 4.0], [3.0, 0.0, -3.0]])
    assert slopes(np.array([0.0, 1.0, 2.0]), values) == pytest.approx([0.5, 0.0, -3.0])


@given(arrays(np.float64, (3, 4), elements=st.floats(-100, 100)))
def test_slopes_the_same_as_scipy(values):
    from scipy.stats import linregress

    levels = np.log10([1, 5, 20, 350])
    expected = [linregress(levels, row).slope for row in values]
    assert slopes(levels, values) == pytest.approx(expected, abs=1e-9)


def test_one_level_has_no_slope():
    with pytest.raises(ValueError, match="two different levels"):
        slopes(np.array([1.0, 1.0]), np.ones((2, 2)))


# Holm


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([], []),
        ([0.02], [0.02]),
        ([0.04, 0.01], [0.04, 0.02]),
        # 0.01 x 3, 0.03 x 2, and 0.04 x 1 is not below the one before.
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.5, 0.6, 0.001], [1.0, 1.0, 0.003]),
        ([0.02, 0.02], [0.04, 0.04]),
    ],
)
def test_holm_by_hand(p_values, corrected):
    assert holm(np.array(p_values)) == pytest.approx(corrected)


@given(arrays(np.float64, st.integers(1, 12), elements=st.floats(0, 1)))
def test_holm_is_between_no_correction_and_bonferroni(p_values):
    corrected = holm(p_values)
    bonferroni = np.minimum(1, p_values * len(p_values))
    assert np.all(corrected >= p_values)
    assert np.all(corrected <= bonferroni)
    assert corrected[p_values.argmin()] == bonferroni[p_values.argmin()]
    order = np.argsort(p_values)
    assert np.all(np.diff(corrected[order]) >= 0)


# Seeds needed


@pytest.mark.parametrize(("effect", "pairs"), [(1.0, 10), (0.8, 15), (0.5, 34), (0.3, 90)])
def test_pairs_as_in_the_usual_tables(effect, pairs):
    """Paired t test, 5% two-sided, 80% power."""
    assert seeds_needed(effect, 1.0, 0.025, 100) == pairs
    assert seeds_needed(3 * effect, 3.0, 0.025, 100) == pairs
    assert seeds_needed(effect, 1.0, 0.025, pairs - 1) is None


@pytest.mark.parametrize("level", [0.025, 0.025 / 12])
def test_so_many_pairs_find_the_effect(level):
    pairs = seeds_needed(1.5, 1.0, level, 100)
    draws = np.random.default_rng(0).normal(1.5, 1.0, (2000, pairs))
    assert np.mean([p_above(row, 0.0) <= level for row in draws]) >= POWER - 0.03
    assert np.mean([p_above(row[:-1], 0.0) <= level for row in draws]) < POWER + 0.03


@pytest.mark.parametrize("effect", [0.0, -1.0])
def test_no_number_of_pairs_finds_what_is_not_there(effect):
    assert seeds_needed(effect, 1.0, 0.025, 100) is None


@pytest.mark.parametrize("effect", [20.0, 1e6])
def test_a_clear_effect_needs_few_pairs(effect):
    assert seeds_needed(effect, 1.0, 0.025, 100) == 2


def test_a_least_deviation_stands_where_the_scatter_is_smaller():
    """Five values of 2 with deviation 0.5: t = 2 / (0.5 / sqrt(5)), four degrees of freedom."""
    alike = np.full(5, 2.0)
    assert math.isnan(p_above(alike, 0.0))
    by_hand = scipy.stats.t.sf(2 / (0.5 / math.sqrt(5)), 4)
    assert p_above(alike, 0.0, 0.5) == pytest.approx(by_hand)
    found = mean_difference(alike, 0.5)
    half = 2.7764451 * 0.5 / math.sqrt(5)
    assert (found.n, found.mean, found.std) == (5, 2.0, 0.5)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half))
    assert found.p_value == pytest.approx(2 * by_hand)
    # Where the scatter is larger it is what counts.
    values = np.array([1.0, 2.0, 3.0])
    assert mean_difference(values, 0.5) == mean_difference(values)
    assert p_above(values, 0.0, 0.5) == p_above(values, 0.0)


@pytest.mark.parametrize("n", [3, 5, 6, 8, 10, 20])
def test_half_a_unit_is_enough_for_whole_numbers(n):
    """One of two neighbours, `above` the true mean by so much or below it: wrong at most 2.5%."""
    for above in np.arange(0.05, 1, 0.05):
        chance = 1 - above
        wrong = sum(
            scipy.stats.binom.pmf(high, n, chance)
            for high in range(n + 1)
            if p_above(np.repeat([above, above - 1], [high, n - high]), 0.0, 0.5) <= 0.025
        )
        assert wrong <= 0.025, above
